"""The loop gives the tokens of plain decoding, whatever is drafted, and counts what it did."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from terntable.host.decoding import ledger as ledger_module
from terntable.host.decoding.accelerator_target import AcceleratorTarget
from terntable.host.decoding.clocked import Clocked
from terntable.host.decoding.controllers import Constant
from terntable.host.decoding.drafter import Drafter
from terntable.host.decoding.generation import run_method
from terntable.host.decoding.ledger import Ledger
from terntable.host.decoding.loop import decode
from terntable.host.decoding.rules import Match
from terntable.host.decoding.torch_target import TorchTarget
from terntable.host.decoding.tree import DraftTree
from terntable.host.errors import InputError
from terntable.host.generate import generate
from terntable.host.sampling import Sampling
from tests.host.decoding.fakes import Chains, RandomTrees, Table, TableTarget
from tests.host.decoding.models import tiny

PROMPT = [3, 1, 4, 1, 5, 9, 2, 6]
SAMPLINGS = [Sampling(), *(Sampling(temperature=0.5, seed=seed, top_k=top_k, top_p=top_p)
                           for seed, top_k, top_p in ((1, 0, 1.0), (2, 5, 1.0), (3, 0, 0.8)))]


@pytest.fixture(scope="module")
def model():
    """A random model of transformers."""
    return tiny()


@pytest.fixture(params=["torch", "golden"])
def target(request, model):
    """Each kind of target."""
    return TorchTarget(model) if request.param == "torch" else AcceleratorTarget(request.getfixturevalue("session"))


def plain(target, prompt, **options):
    """Tokens of plain decoding, by the generation that knows nothing of drafts."""
    class Steps:
        vocab, context = target.vocab, target.context
        length = property(lambda self: target.length)

        def prefill(self, tokens, *, logits=False):
            scores = target.score(DraftTree(tokens[-1]), tokens[:-1], logits=True)
            target.commit([0])
            return type("Result", (), {"best": np.array(scores.best), "logits": scores.logits, "counters": {}})

        def decode(self, token, *, logits=False):
            return self.prefill([token])

    if isinstance(target, AcceleratorTarget):
        target.session.rollback(0)
        return [step.token for step in generate(target.session, prompt, **options)]
    target.rollback(0)
    return [step.token for step in generate(Steps(), prompt, **options)]


def drafters(target, wanted):
    """Right, wrong and odd drafters of a text that continues the prompt."""
    text = [*PROMPT, *wanted]

    def right(tokens):
        return text[len(tokens)] if len(tokens) < len(text) else 0

    return {
        "none": Drafter(), "right": Chains(right), "wrong": Chains(lambda tokens: (right(tokens) + 1) % target.vocab),
        "right for a while": Chains(lambda tokens: (right(tokens) + (len(tokens) % 3 == 0)) % target.vocab),
        "the same again": Chains(lambda tokens: tokens[-1]), "deep": Chains(right, length=1000),
        "trees": RandomTrees(target.vocab), "narrow trees": RandomTrees(6, seed=1, nodes=20),
    }


def run(target, drafter, **options):
    """Tokens and ledger of a generation with a drafter."""
    ledger, tokens = Ledger(), []
    for outcome in decode(target, PROMPT, drafter=drafter, rule=Match(), ledger=ledger, **options):
        assert len(outcome.tokens) == len(outcome.path), "every node of the path but the root was emitted, and one token more"
        assert [outcome.tree.tokens[node] for node in outcome.path[1:]] == outcome.tokens[:-1]
        assert outcome.length == len(PROMPT) + len(tokens)
        tokens += outcome.tokens
        assert target.length == len(PROMPT) + len(tokens) - 1, "all but the last token are committed"
    return tokens, ledger


@pytest.mark.parametrize("sampling", SAMPLINGS, ids=["greedy", "warm", "top-k", "top-p"])
def test_tokens_are_those_of_plain_decoding(target, sampling):
    # Passes of the golden model take their time.
    count = 20 if isinstance(target, TorchTarget) else 10
    wanted = plain(target, PROMPT, max_tokens=count, sampling=sampling)
    assert len(wanted) == count and len(set(wanted)) > 2
    for name, drafter in drafters(target, wanted).items():
        tokens, ledger = run(target, drafter, max_tokens=count, sampling=sampling)
        assert tokens == wanted, name
        assert (ledger.forwards == count) == (name in ("none", "wrong")) or "trees" in name or name == "the same again", name


@pytest.mark.parametrize("family", ["Llama", "BitNet", "Qwen2", "GPTNeoX", "GPT2"])
def test_greedy_is_that_of_transformers(family):
    model = tiny(family, seed=1)
    wanted = model.generate(torch.tensor([PROMPT]), max_new_tokens=24, do_sample=False)[0, len(PROMPT):].tolist()
    target = TorchTarget(model)
    for name, drafter in drafters(target, wanted).items():
        assert run(target, drafter, max_tokens=24)[0] == wanted, name
    for method in ("greedy", "prompt-lookup", "iad"):
        assert run_method(target, method, PROMPT, max_tokens=24).tokens == wanted


def test_a_right_draft_is_taken_whole(target):
    wanted = plain(target, PROMPT, max_tokens=20)
    tokens, ledger = run(target, Chains(lambda known: [*PROMPT, *wanted, 0][len(known)]), max_tokens=20)
    # Every forward emits its draft and one token more, as far as rows and the length of a chain go.
    size = min(8, target.rows - 1) + 1
    assert tokens == wanted and ledger.emitted == [size] * (20 // size) + [20 % size] * (20 % size > 0)
    assert ledger.accepted == ledger.drafted


@pytest.mark.parametrize("sampling", SAMPLINGS[:2], ids=["greedy", "warm"])
def test_the_end_is_where_plain_decoding_ends(target, sampling):
    """An end of text or a limit inside a block that would be accepted whole."""
    wanted = plain(target, PROMPT, max_tokens=12, sampling=sampling)
    for end, most in ((-1, 4), (wanted[2], 2), (wanted[4], 7), (wanted[7], 12)):
        cut = plain(target, PROMPT, max_tokens=most, sampling=sampling, eos=(end,))
        for name in ("right", "right for a while"):
            drafter = drafters(target, wanted)[name]
            tokens, ledger = run(target, drafter, max_tokens=most, sampling=sampling, eos=(end,))
            assert tokens == cut and ledger.new_tokens == len(cut), name


def test_the_end_of_the_context_is_where_plain_decoding_ends(model, session):
    small = TorchTarget(model, context=20)
    for target in (small, AcceleratorTarget(session)):
        prompt = np.resize(PROMPT, target.context - 10).tolist()
        wanted = plain(target, prompt, max_tokens=target.context)
        assert len(wanted) == 11, "the last token needs no place"
        text = [*prompt, *wanted, 0]
        for drafter in (Chains(lambda tokens, text=text: text[len(tokens)], length=1000), RandomTrees(6, nodes=20)):
            ledger = Ledger()
            rounds = decode(target, prompt, drafter=drafter, rule=Match(), max_tokens=target.context, ledger=ledger)
            assert [token for outcome in rounds for token in outcome.tokens] == wanted
            assert ledger.forwards < 11 or isinstance(drafter, RandomTrees)
    full = run_method(small, "greedy", np.resize(PROMPT, 20).tolist(), max_tokens=20)
    assert len(full.tokens) == 1 and full.finish_reason == "length"


def test_the_ledger_adds_up():
    table = Table(3, 5, zeros=False)
    made = Drafter(), RandomTrees(5), Chains(lambda tokens: table(tokens).best())
    for drafter, sampling in itertools.product(made, SAMPLINGS[:2]):
        target = TableTarget(table)
        outcomes, ledger = [], Ledger()
        for outcome in decode(target, PROMPT[:2], drafter=drafter, rule=Match(), sampling=sampling, max_tokens=40, ledger=ledger):
            outcomes.append(outcome)
        assert ledger.prompt == 2 and ledger.forwards == len(outcomes) == target.calls == ledger.counters["passes"]
        assert ledger.emitted == [len(outcome.tokens) for outcome in outcomes] and ledger.new_tokens == 40
        assert min(ledger.emitted) >= 1 and ledger.tokens_per_forward == 40 / ledger.forwards >= 1
        assert sum(ledger.accepted) == ledger.new_tokens - ledger.forwards
        assert ledger.nodes == sum(len(outcome.tree) for outcome in outcomes) == ledger.forwards + sum(ledger.drafted)
        assert ledger.verify_width == ledger.nodes / ledger.forwards
        assert all(accepted <= drafted for accepted, drafted in zip(ledger.accepted, ledger.drafted, strict=False))
        assert len(ledger.accepted) <= len(ledger.drafted) and ledger.accepted == sorted(ledger.accepted, reverse=True)
        assert ledger.seconds.keys() == {"target", "draft", "core"} and min(ledger.seconds.values()) > 0
        assert ledger.as_json()["tokens"] == 40 and str(ledger).startswith(f"40 tokens in {ledger.forwards} forwards")


def test_drafting_is_booked():
    ledger = Ledger()
    ledger.draft(units=2.5)
    ledger.draft(units=1.5, forwards=3)
    ledger.round(nodes=4, depths=[1, 1, 2], emitted=2, accepted=1, counters={"passes": 1})
    assert (ledger.draft_forwards, ledger.draft_units, ledger.draft_cost) == (4, 4.0, 2.0)
    assert (ledger.drafted, ledger.accepted) == ([2, 1], [1])
    assert Ledger().tokens_per_forward == Ledger().verify_width == Ledger().draft_cost == 0


@pytest.mark.parametrize("sampling", SAMPLINGS[:2], ids=["greedy", "warm"])
def test_controllers_change_the_size_of_drafts_and_no_token(model, sampling):
    target = TorchTarget(model)
    wanted = plain(target, PROMPT, max_tokens=20, sampling=sampling)
    made = (Constant(nodes=0), Constant(nodes=1), Constant(depth=1), Constant(nodes=5, depth=2), Clocked(), Clocked(most=1))
    for controller in made:
        for name in ("right", "wrong", "right for a while", "trees"):
            drafter = drafters(target, wanted)[name]
            tokens, ledger = run(target, drafter, max_tokens=20, sampling=sampling, controller=controller)
            assert tokens == wanted, (name, controller)
            if controller is made[0]:
                assert ledger.forwards == ledger.nodes == 20 or "trees" in name


@pytest.mark.parametrize(("guess", "cost", "rows", "seconds"), [
    ("best", 0.0, (7, 9), 0.25), ("best", 0.1, (3, 9), 0.6), ("every other", 0.0, (1.5, 4.5), 0.8),
    ("worst", 0.0, (1, 2.2), 1.06 * 1.08),
    # Two drafts are made before their price is known.
    ("best", 10.0, (1, 1.1), 1.06 + 16 * 10 / 200)])
def test_the_clock_keeps_drafts_that_pay_and_drops_those_that_do_not(monkeypatch, guess, cost, rows, seconds):
    """On a clock of its own: a forward takes 1 second and 0.06 for each row, a drafted token `cost`; plain decoding takes 1.06."""
    table, clock = Table(3, 5, zeros=False), [0.0]
    monkeypatch.setattr(ledger_module, "time", SimpleNamespace(perf_counter=lambda: clock[0]))

    def guessed(tokens):
        clock[0] += cost
        order = np.argsort(table(tokens).p)
        return int(order[{"best": -1, "worst": 0, "every other": -1 - len(tokens) % 2}[guess]])

    class Slow(TableTarget):
        def score(self, tree, prefix=(), **options):
            clock[0] += 1 + 0.06 * len(tree)
            return super().score(tree, prefix, **options)

    ledger = Ledger()
    list(decode(Slow(table, context=256), [1, 0], drafter=Chains(guessed), rule=Match(), max_tokens=200, ledger=ledger,
                controller=Clocked()))
    assert rows[0] <= ledger.verify_width <= rows[1] and sum(ledger.seconds.values()) / 200 < seconds


@pytest.mark.parametrize("branches", [False, True])
def test_the_clock_adds_rows_where_they_make_a_forward_shorter(monkeypatch, branches):
    """A forward of 2 to 5 rows takes 2 seconds, one of more rows 1.3: drafts of one token pay only if they are filled up."""
    table, clock, rows = Table(3, 5, zeros=False), [0.0], []
    monkeypatch.setattr(ledger_module, "time", SimpleNamespace(perf_counter=lambda: clock[0]))

    class Uneven(TableTarget):
        def score(self, tree, prefix=(), **options):
            clock[0] += 1.0 if len(tree) == 1 else 2.0 if len(tree) < 6 else 1.3
            rows.append(len(tree))
            assert branches or tree.is_chain
            return super().score(tree, prefix, **options)

    class Few(Drafter):
        def propose(self, tokens, budget):
            tree = DraftTree(tokens[-1])
            for token in np.argsort(-table(tokens).p)[:2 if branches else 1].tolist() if budget.nodes and budget.depth else ():
                tree.add(0, token, 0.9)
            return tree

    ledger = Ledger()
    list(decode(Uneven(table, context=512), [1, 0], drafter=Few(), rule=Match(), max_tokens=400, ledger=ledger,
                controller=Clocked()))
    later = rows[-150:-2]
    assert sum(count >= 6 for count in later) > 0.9 * len(later) and ledger.tokens_per_forward > 1.8
    assert sum(ledger.seconds.values()) < 400 * 0.75


def test_a_tree_that_does_not_fit_is_refused(target):
    class Large(Drafter):
        def propose(self, tokens, budget):
            return DraftTree.chain(tokens[-1], [2] * (budget.nodes + 1))

    with pytest.raises(InputError, match=f"a tree of {min(target.rows, 57) + 1} nodes, but target .* has room for "
                                         f"{min(target.rows, 57)}"):
        run(target, Large(), max_tokens=4)
    assert run(target, Drafter(), max_tokens=4)[0] == plain(target, PROMPT, max_tokens=4)


@pytest.mark.parametrize("wrong", [-1, None])
def test_a_draft_outside_the_vocabulary_is_refused(target, wrong):
    class Foreign(Drafter):
        def propose(self, tokens, budget):
            return DraftTree.chain(tokens[-1], [target.vocab if wrong is None else wrong][:budget.nodes])

    with pytest.raises(InputError, match=f"outside the vocabulary of target .*, 0 to {target.vocab - 1}"):
        run(target, Foreign(), max_tokens=4)
    assert run(target, Drafter(), max_tokens=4)[0] == plain(target, PROMPT, max_tokens=4)


def test_rounds_come_as_they_are_asked_for():
    target = TableTarget(Table(0, 5))
    rounds = decode(target, [1, 2], drafter=Drafter(), rule=Match(), max_tokens=3)
    assert target.calls == 0
    next(rounds)
    assert target.calls == 1
    assert len(list(rounds)) == 2 and target.calls == 3
