"""ASSD: the joint law of a text with gaps, in fewer calls than gaps."""

import itertools

import numpy as np
import pytest
import torch

from terntable.host.decoding import infill, rules
from terntable.host.decoding.any_order import AnyOrderTarget, log_likelihood, order_of
from terntable.host.decoding.generation import run_method
from terntable.host.decoding.law import TokenLaw
from terntable.host.decoding.torch_target import TorchTarget
from terntable.host.decoding.tree import DraftTree
from terntable.host.decoding.two_stream import TwoStream
from terntable.host.errors import InputError, SessionError
from terntable.host.sampling import GREEDY, Sampling
from tests.host.decoding.enumeration import Choices, distance
from tests.host.decoding.models import tiny

TEXT = [None, 2, 7, None, None, None, 1, None, None]


class JointTable:
    """A random joint law of N tokens; every conditional is its own, so all of them agree."""

    layers, layer_weights = 2, 10

    def __init__(self, seed, length, vocab):
        self.longest, self.vocab, self.calls = length, vocab, 0
        self.p = np.random.default_rng(seed).random((vocab,) * length) ** 4
        self.p /= self.p.sum()

    def logits(self, tokens, order, given, wanted, seen):
        """Logarithms of conditionals."""
        self.calls += 1
        rows = []
        for rank, most in zip(wanted, seen, strict=True):
            assert most <= rank and len(tokens) >= most
            known = {order[one]: tokens[one] for one in range(most)}
            cut = self.p[tuple(known.get(place, slice(None)) for place in range(self.longest))]
            axis = sum(place not in known for place in range(order[rank]))
            rows.append(cut.sum(axis=tuple(other for other in range(cut.ndim) if other != axis)))
        return np.log(np.array(rows))


def texts():
    """Every pattern of gaps in four places, with a token at each known one."""
    for known in itertools.product([True, False], repeat=4):
        if any(known) and not all(known):
            yield [(place + 1) % 3 if here else None for place, here in enumerate(known)]


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_gaps_have_the_models_joint_law(monkeypatch, k):
    counts = []
    for seed, text in enumerate(texts()):
        model, choices = JointTable(seed, 4, 3), Choices()
        monkeypatch.setattr(rules, "pick", choices.pick)
        monkeypatch.setattr(TokenLaw, "draw", lambda law, u, choices=choices: choices.of(law.p))

        def run(model=model, text=text):
            model.calls = 0
            done = infill(model, text, k=k)
            gaps = text.count(None)
            assert done.calls == model.calls <= gaps
            assert all(token in (None, now) for token, now in zip(text, done.tokens, strict=True))
            # The first draft stays, so a round gives two tokens at least, but for the last one alone.
            assert all(emitted >= 2 for emitted in done.ledger.emitted[:-1]) or k == 1
            assert not done.ledger.drafted or done.ledger.accepted[0] == done.ledger.drafted[0]
            counts.append((gaps, done.calls))
            return tuple(done.tokens)

        held = model.p[tuple(slice(None) if token is None else slice(token, token + 1) for token in text)]
        expected = {tuple(token if token is not None else place for token, place in zip(text, places, strict=True)): float(p)
                    for places, p in np.ndenumerate(held / held.sum())}
        assert distance(choices.law(run), expected) < 1e-12
    saved = [gaps - calls for gaps, calls in counts]
    # Two tokens a round save nothing, three or more save some.
    assert (max(saved) > 0) == (k > 2)


def test_fully_parallel_draws_have_another_law():
    model = JointTable(3, 4, 3)
    order, given = order_of([1, None, None, None])
    laws = np.exp(AnyOrderTarget(model, order, given).ahead([1], 3))
    laws /= laws.sum(axis=1, keepdims=True)
    apart = np.einsum("a,b,c->abc", *laws)
    assert abs(apart - model.p[1] / model.p[1].sum()).sum() / 2 > 0.1


@pytest.fixture(scope="module")
def model():
    """A random two-stream model."""
    torch.manual_seed(2)
    made = TwoStream(11, width=64, layers=3, inner=64, longest=12).double()
    with torch.no_grad():
        for weight in made.parameters():
            weight *= 1.5
    return made.eval()


def test_the_first_draft_has_the_targets_law(model):
    order, given = order_of(TEXT)
    target = AnyOrderTarget(model, order, given)
    known = [2, 7, 1]
    ahead = target.ahead(known, 4)
    own = model.logits([*known, 5, 6], order, given, [3, 4, 5], [3, 4, 5])
    assert abs(ahead[0] - own[0]).max() < 1e-9 and abs(ahead[1] - own[1]).max() > 1e-3
    scores = target.score(DraftTree.chain(1, [5, 6]), [2, 7])
    assert np.array_equal(scores.logits[0], ahead[0]) and abs(scores.logits[1:] - own[1:]).max() < 1e-12


def test_a_query_knows_what_it_is_given_and_nothing_else(model):
    order, given = order_of(TEXT)
    tokens = [2, 7, 1, 5, 6, 3, 4, 8, 9]
    whole = model.logits(tokens, order, given, range(3, 9), range(3, 9))
    for rank in range(3, 9):
        alone = model.logits(tokens[:rank], order, given, [rank], [rank])
        assert abs(whole[rank - 3] - alone[0]).max() < 1e-9
        if rank < 8:
            changed = [*tokens[:rank], 0, *tokens[rank + 1:]]
            other = model.logits(changed, order, given, range(3, 9), range(3, 9))
            assert abs(other[:rank - 2] - whole[:rank - 2]).max() < 1e-9 and abs(other[rank - 2] - whole[rank - 2]).max() > 1e-4


def test_likelihood_is_the_product_of_single_calls(model):
    tokens = [1, 2, 7, 4, 0, 10, 1, 3, 5]
    gaps = [place for place, token in enumerate(TEXT) if token is None]
    order, given = order_of(TEXT)
    ranked, total = [tokens[place] for place in order], 0.0
    for rank in range(given, 9):
        row = model.logits(ranked[:rank], order, given, [rank], [rank])[0]
        total += row[ranked[rank]] - np.log(np.exp(row).sum())
    assert log_likelihood(model, tokens, gaps) == pytest.approx(total, abs=1e-9)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_at_temperature_0_it_is_one_gap_after_another(model, k):
    one = infill(model, TEXT, method="greedy", sampling=GREEDY)
    got = infill(model, TEXT, k=k, sampling=GREEDY)
    assert got.tokens == one.tokens and one.calls == 6 and got.calls <= 6
    assert all(before in (None, after) for before, after in zip(TEXT, got.tokens, strict=True))


def test_other_methods_run_on_it(model):
    for sampling in (GREEDY, Sampling(temperature=1.0, seed=3)):
        one = infill(model, TEXT, method="greedy", sampling=sampling)
        assert infill(model, TEXT, method="prompt-lookup", sampling=sampling, length=3).tokens == one.tokens


def test_a_pass_without_drafts_ahead_uses_its_own_law(model):
    order, given = order_of(TEXT)
    target = AnyOrderTarget(model, order, given)
    target.ahead([2, 7, 3], 2)
    scores = target.score(DraftTree(1), [2, 7])
    assert np.array_equal(scores.logits, model.logits([2, 7, 1], order, given, [3], [3]))
    target.commit([0])
    assert target.length == 3
    target.rollback(1)
    target.score(DraftTree(7))
    target.commit([0])
    assert target.length == 2
    with pytest.raises(SessionError, match="A rollback to 3 is impossible"):
        target.rollback(3)


def test_refusals(model):
    with pytest.raises(InputError, match="Method assd needs attention in any order of positions, which target torch does not have"):
        run_method(TorchTarget(tiny()), "assd", [1, 2])
    with pytest.raises(InputError, match="known tokens and gaps, not 0 known ones of 2"):
        infill(model, [None, None])
    with pytest.raises(InputError, match="known tokens and gaps, not 2 known ones of 2"):
        infill(model, [1, 2])
    with pytest.raises(InputError, match="13 positions, but the model has 12"):
        infill(model, [1] * 12 + [None])
    with pytest.raises(InputError):
        infill(model, [11, None])
    with pytest.raises(InputError, match="at least 1 token, not 0"):
        infill(model, TEXT, k=0)
    target = AnyOrderTarget(model, *order_of(TEXT))
    forked = DraftTree(1)
    forked.add(0, 2)
    forked.add(0, 3)
    with pytest.raises(SessionError, match="takes no trees"):
        target.score(forked, [2, 7])
    with pytest.raises(SessionError, match="9 tokens do not fit"):
        target.score(DraftTree.chain(1, [0] * 6), [2, 7])
