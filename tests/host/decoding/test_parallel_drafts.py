"""DEER, GAD and GAD++: blocks of drafts that do not know each other."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from terntable.host.decoding import rules
from terntable.host.decoding.accelerator_target import AcceleratorTarget
from terntable.host.decoding.block_drafter import BlockDrafter
from terntable.host.decoding.drafter import Budget
from terntable.host.decoding.generation import run_method
from terntable.host.decoding.law import TokenLaw
from terntable.host.decoding.ledger import Ledger
from terntable.host.decoding.loop import decode
from terntable.host.decoding.lossy import TopBeta
from terntable.host.decoding.masked_drafter import MaskedModel, recurrence
from terntable.host.decoding.parts import save_part
from terntable.host.decoding.rules import Match, Ratio
from terntable.host.decoding.torch_target import TorchTarget
from terntable.host.errors import InputError
from terntable.host.sampling import GREEDY, Sampling, token_law
from tests.host.decoding.enumeration import Choices, distance
from tests.host.decoding.fakes import Table, TableTarget
from tests.host.decoding.models import tiny
from tests.host.decoding.test_loop_laws import PROMPT, WARM, plain

TEXT = [3, 1, 4, 1, 5]


class TableMarginals:
    """Laws of a table by the known text and the place in the block."""

    weights = 30

    def __init__(self, table):
        self.table, self.counts = table, []

    def marginals(self, tokens, count):
        """Logarithms of laws."""
        self.counts.append(count)
        with np.errstate(divide="ignore"):
            return np.log(np.array([self.table([*tokens, 90 + place]).p for place in range(count)]))


def keep(folder, name, vocab, *, ends):
    """A part of random weights."""
    torch.manual_seed(4)
    model = MaskedModel(vocab, width=64, layers=2, inner=64, ends=ends)
    save_part(folder / "tiny" / f"{name}.safetensors",
              {"config": {"vocab": vocab, "width": 64, "layers": 2, "inner": 64, "ends": ends}},
              {key: value.numpy() for key, value in model.state_dict().items()})


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("vocab", "count", "k"), [(3, 3, 2), (4, 3, 2), (2, 5, 4)])
def test_one_step_blocks_keep_the_joint_law(monkeypatch, vocab, count, k, seed):
    choices, table = Choices(), Table(seed, vocab)
    monkeypatch.setattr(rules, "pick", choices.pick)
    monkeypatch.setattr(TokenLaw, "draw", lambda law, u: choices.of(law.p))

    def run():
        drafter = BlockDrafter(TableMarginals(Table(seed + 50, vocab)), 1.0, k, drawn=True)
        rounds = decode(TableTarget(table), PROMPT, drafter=drafter, rule=Ratio(), sampling=WARM, max_tokens=count)
        return tuple(token for outcome in rounds for token in outcome.tokens)

    assert distance(choices.law(run), plain(table, count)) < 1e-12


def test_drafts_are_drawn_from_the_laws_that_are_told():
    sampling = Sampling(temperature=0.7, top_k=3, seed=9)
    model = TableMarginals(Table(1, 6))
    drafter = BlockDrafter(model, 1.5, 4, drawn=True)
    drafter.start(PROMPT, sampling, ledger := Ledger())
    tree = drafter.propose(PROMPT, Budget(9, 9))
    logits = model.marginals(PROMPT, 4)
    assert tree.is_chain and len(tree) == 5 and sorted(tree.laws) == [0, 1, 2, 3]
    for node in range(4):
        assert np.array_equal(tree.laws[node].p, token_law(logits[node], sampling))
        assert tree.laws[node].prob(tree.tokens[node + 1]) > 0
    assert (ledger.draft_forwards, ledger.draft_units) == (1, 1.5)
    # Another text in the same place, the same seed: the draws are of the position alone.
    again = drafter.propose(PROMPT, Budget(2, 9))
    assert again.tokens == tree.tokens[:3]


@pytest.mark.parametrize("drawn", [True, False])
@pytest.mark.parametrize(("nodes", "depth", "expected"), [(0, 5, 0), (5, 0, 0), (3, 9, 3), (9, 2, 2), (9, 9, 6)])
def test_blocks_keep_to_the_budget(drawn, nodes, depth, expected):
    model = TableMarginals(Table(1, 6))
    drafter = BlockDrafter(model, 1.0, 6, drawn=drawn)
    drafter.start(PROMPT, GREEDY, ledger := Ledger())
    tree = drafter.propose(PROMPT, Budget(nodes, depth))
    assert len(tree) == 1 + expected
    assert model.counts == [expected] * (expected > 0) and ledger.draft_forwards == (expected > 0)
    assert not tree.laws
    if expected:
        assert tree.tokens[1:] == model.marginals(PROMPT, expected).argmax(axis=1).tolist()


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(temperature=0.8, top_k=12, seed=5)], ids=["greedy", "warm"])
@pytest.mark.parametrize("method", ["gad", "deer"])
def test_says_what_plain_decoding_says(tmp_path, method, sampling):
    target = TorchTarget(tiny())
    keep(tmp_path, method, target.vocab, ends=method == "deer")
    expected = run_method(target, "greedy", TEXT, max_tokens=24, sampling=sampling)
    got = run_method(target, method, TEXT, max_tokens=24, sampling=sampling, model="tiny", parts=tmp_path)
    if method == "gad" or sampling.greedy:
        assert got.tokens == expected.tokens
    assert len(got.tokens) == 24 and got.tokens == run_method(target, method, TEXT, max_tokens=24, sampling=sampling, model="tiny",
                                                              parts=tmp_path).tokens
    assert got.ledger.drafted[0] == got.ledger.draft_forwards >= got.ledger.forwards - 1
    model = MaskedModel(target.vocab, width=64, layers=2, inner=64)
    assert got.ledger.draft_units == pytest.approx(got.ledger.draft_forwards * model.weights / target.layer_weights)


@pytest.mark.parametrize("method", ["gad", "deer"])
def test_on_the_accelerator(session, tmp_path, method):
    target = AcceleratorTarget(session)
    keep(tmp_path, method, target.vocab, ends=method == "deer")
    expected = run_method(target, "greedy", TEXT, max_tokens=10).tokens
    got = run_method(target, method, TEXT, max_tokens=10, model="tiny", parts=tmp_path)
    assert got.tokens == expected
    assert got.ledger.verify_width <= target.rows and len(got.ledger.drafted) == min(target.rows, 10) - 1


def test_tolerance_takes_good_drafts_only():
    seen = refused = 0
    for seed in range(30):
        target = TableTarget(Table(seed, 6, zeros=False))
        drafter = BlockDrafter(TableMarginals(Table(seed + 70, 6)), 1.0, 5, drawn=False)
        text = list(PROMPT)
        for outcome in decode(target, PROMPT, drafter=drafter, rule=TopBeta(2, 0.7), max_tokens=8):
            for place, token in enumerate(outcome.tokens):
                p = target.table(text).p
                ranked = sorted(range(6), key=lambda one: (-p[one], one))
                good = token in ranked[:2] and np.log(p[ranked[0]] / p[token]) <= 0.7
                assert good if place < len(outcome.path) - 1 else token == ranked[0]
                seen += good and token != ranked[0]
                text.append(token)
            refused += len(outcome.path) < len(outcome.tree)
    assert seen > 5 and refused > 5


@pytest.mark.parametrize("options", [{"beta": 1}, {"gap": 0.0}])
def test_without_tolerance_it_is_greedy(tmp_path, options):
    target = TorchTarget(tiny())
    keep(tmp_path, "gad", target.vocab, ends=False)
    expected = run_method(target, "greedy", TEXT, max_tokens=24).tokens
    assert run_method(target, "gad++", TEXT, max_tokens=24, model="tiny", parts=tmp_path, options=options).tokens == expected
    loose = run_method(target, "gad++", TEXT, max_tokens=24, model="tiny", parts=tmp_path, options={"beta": 40, "gap": 1e9})
    assert loose.ledger.accepted == loose.ledger.drafted and loose.tokens != expected


def test_vanilla_and_drawn_rules_are_told_apart():
    assert Match.lossless and Ratio.lossless and not TopBeta.lossless


def test_a_mask_is_no_token_and_shows_nothing_of_what_it_hides():
    model = MaskedModel(11, width=64, layers=2, inner=64, ends=True)
    known, hidden = torch.tensor([[1, 2, 3]]), torch.tensor([[True, False, True]])
    read = model.masked(known, torch.tensor([[4, 5, 6]]), hidden)
    assert read.tolist() == [[1, 2, 3, 11, 5, 11, 12]]
    assert model.marginals([1, 2, 3], 4).shape == (4, 11)
    model.ends = False
    assert model.masked(known, torch.tensor([[4, 5, 6]]), hidden).tolist() == [[1, 2, 3, 11, 5, 11]]


def test_the_window_bounds_what_is_read():
    model = MaskedModel(11, width=64, layers=2, inner=64, window=6, ends=True)
    text = [1, 2, 3, 4, 5, 6, 7, 8]
    assert np.array_equal(model.marginals(text, 3), model.marginals(text[2:], 3))
    assert not np.array_equal(model.marginals(text, 3), model.marginals(text[3:], 3))
    # All of the window counts, and where in it.
    assert not np.allclose(model.marginals(text, 3), model.marginals([1, 2, 9, 4, 5, 6, 7, 8], 3))
    assert not np.allclose(model.marginals(text, 3), model.marginals([1, 2, 4, 3, 5, 6, 7, 8], 3))


def naive(known, count):
    """What followed the last occurrence of the longest suffix, by search."""
    for size in (3, 2, 1):
        for end in range(len(known) - 1, size - 1, -1):
            if known[end - size:end] == known[len(known) - size:]:
                return [known[end + place % (len(known) - end)] for place in range(count)]
    return [-1] * count


@pytest.mark.parametrize("length", [1, 2, 3, 4, 7, 20])
def test_recurrence_is_what_a_search_finds(length):
    known = torch.randint(4, (100, length), generator=torch.Generator().manual_seed(0))
    assert recurrence(known, 9, -1).tolist() == [naive(row, 9) for row in known.tolist()]


def test_masks_alone_are_told_what_recurs():
    model = MaskedModel(11, width=64, layers=1, inner=64)
    known, span = torch.tensor([[1, 2, 3, 1]]), torch.tensor([[4, 5]])
    before = [model(known, span, torch.tensor([hidden])) for hidden in ([True, True], [False, False])]
    with torch.no_grad():
        model.again += 1
    after = [model(known, span, torch.tensor([hidden])) for hidden in ([True, True], [False, False])]
    assert not torch.allclose(before[0], after[0]) and torch.equal(before[1], after[1])


def test_refusals(tmp_path):
    target = TorchTarget(tiny())
    with pytest.raises(InputError, match="needs the trained part deer"):
        run_method(target, "deer", TEXT, model="tiny", parts=tmp_path)
    keep(tmp_path, "deer", 17, ends=True)
    with pytest.raises(InputError, match="Part deer drafts 17 tokens, but target torch has 40"):
        run_method(target, "deer", TEXT, model="tiny", parts=tmp_path)
    keep(tmp_path, "gad", 40, ends=False)
    with pytest.raises(InputError, match="at least 1 token, not 0"):
        run_method(target, "gad", TEXT, model="tiny", parts=tmp_path, options={"k": 0})
    with pytest.raises(InputError, match="beta of at least 1"):
        run_method(target, "gad++", TEXT, model="tiny", parts=tmp_path, options={"beta": 0})


def test_needs_no_torch_to_be_listed():
    code = ("import sys; from terntable.host.decoding.registry import load_method\n"
            "for name in ('gad', 'gad++', 'deer', 'assd'): load_method(name)\nsys.exit('torch' in sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True)
