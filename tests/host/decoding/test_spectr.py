import pytest

from terntable.host.decoding import rules
from terntable.host.decoding.draft_model import DraftModel
from terntable.host.decoding.drafter import Budget
from terntable.host.decoding.generation import run_method
from terntable.host.decoding.kseq import KSeq
from terntable.host.decoding.law import TokenLaw, Uniforms
from terntable.host.decoding.loop import decode
from terntable.host.decoding.method import Setup
from terntable.host.decoding.methods.spectr import METHOD, IndependentDrafts
from terntable.host.decoding.rules import Ratio
from terntable.host.decoding.torch_target import TorchTarget
from terntable.host.errors import InputError
from terntable.host.sampling import GREEDY, Sampling
from tests.host.decoding.enumeration import Choices, distance
from tests.host.decoding.fakes import Table, TableTarget
from tests.host.decoding.models import tiny
from tests.host.decoding.test_loop_laws import PROMPT, WARM, plain

TEXT = [3, 1, 4, 1, 5]


def drafter(table, drafts, length, rows=64):
    """Drafts from a table of laws."""
    return IndependentDrafts(DraftModel(TableTarget(table, rows=rows), 0.5), drafts, length)


def joint(monkeypatch, table, made, count, rows=32):
    """Law of `count` tokens, over all drafts and all trials."""
    choices = Choices()
    monkeypatch.setattr(rules, "pick", choices.pick)
    monkeypatch.setattr(TokenLaw, "draw", lambda law, u: choices.of(law.p))

    def run():
        rounds = decode(TableTarget(table, rows=rows), PROMPT, drafter=made, rule=KSeq(), sampling=WARM, max_tokens=count)
        return tuple(token for outcome in rounds for token in outcome.tokens)

    return choices.law(run)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("drafts", "length", "rows"), [(2, 2, 32), (3, 1, 32), (1, 2, 32), (3, 2, 5), (3, 2, 3)])
def test_keeps_the_joint_law(monkeypatch, seed, drafts, length, rows):
    table = Table(seed, 3 if drafts < 3 else 2)
    found = joint(monkeypatch, table, drafter(Table(seed + 1000, table.vocab), drafts, length), 3, rows)
    assert distance(found, plain(table, 3)) < 1e-12


def test_drafts_are_the_sequences_that_are_drawn():
    """All of them stay in the tree, as often as they were drawn, and go on from their own node only."""
    table = Table(1, 3, zeros=False)
    made = drafter(table, 8, 3)
    made.start(PROMPT, WARM)
    tree = made.propose(PROMPT, Budget(64, 64))
    sequences = []
    for number in range(8):
        text = list(PROMPT)
        for _ in range(3):
            text.append(table(text).draw(Uniforms(WARM.seed, len(text), lane=1)(number)))
        sequences.append(tuple(text[2:]))

    def alive(prefix):
        return [sequence for sequence in sequences if sequence[:len(prefix)] == prefix]

    inner = [node for node in range(len(tree)) if tree.depths[node] < 3]
    for node in inner:
        prefix = tuple(tree.tokens[one] for one in tree.path(node)[1:])
        assert tree.drawn(node) == [sequence[len(prefix)] for sequence in alive(prefix)]
        assert tree.laws[node].p == pytest.approx(table([*PROMPT, *prefix]).p)
    assert len(tree.drawn(0)) == 8 and len(set(sequences)) < 8
    assert set(tree.laws) == set(inner)


def test_more_drafts_are_accepted_more_often():
    target, draft, means = Table(2, 6, zeros=False), Table(1002, 6, zeros=False), []
    for drafts in (1, 4, 8):
        emitted = rounds = 0
        for seed in range(40):
            for outcome in decode(TableTarget(target, rows=64), PROMPT, drafter=drafter(draft, drafts, 3), rule=KSeq(),
                                  sampling=Sampling(temperature=1.0, seed=seed), max_tokens=16):
                emitted, rounds = emitted + len(outcome.tokens), rounds + 1
        means.append(emitted / rounds)
    assert means[0] * 1.1 < means[1] < means[2]


def test_one_draft_is_plain_speculative_decoding():
    for seed in range(20):
        texts = []
        for rule in (KSeq(), Ratio()):
            rounds = decode(TableTarget(Table(2, 6)), PROMPT, drafter=drafter(Table(1002, 6), 1, 3), rule=rule, max_tokens=16,
                            sampling=Sampling(temperature=1.0, seed=seed))
            texts.append([outcome.tokens for outcome in rounds])
        assert texts[0] == texts[1]


@pytest.mark.parametrize("sampling", [GREEDY, WARM], ids=["greedy", "warm"])
def test_keeps_to_its_budget(sampling):
    made = drafter(Table(1, 5), 4, 3)
    made.start(PROMPT, sampling)
    for nodes in (0, 1, 3, 4, 7, 8, 12, 60):
        for depth in (0, 1, 2, 9):
            tree = made.propose(PROMPT, Budget(nodes, depth))
            assert len(tree) - 1 <= nodes and max(tree.depths) <= depth
            drawn = len(tree.draws.get(0, ()))
            if nodes and depth:
                assert drawn == (1 if sampling.greedy else min(4, nodes))
            made.model.runner.rollback(0)


def test_a_draft_model_with_little_room_drafts_less():
    made = drafter(Table(1, 5, zeros=False), 4, 3, rows=6)
    made.start(PROMPT, WARM)
    assert max(made.propose(PROMPT, Budget(60, 60)).depths) == 2


def test_greedy_is_greedy():
    target = TorchTarget(tiny())
    done = run_method(target, METHOD, TEXT, options={"draft": tiny(), "length": 3}, max_tokens=24)
    assert done.tokens == run_method(target, "greedy", TEXT, max_tokens=24).tokens
    assert done.ledger.emitted == [4] * 6 and done.ledger.verify_width == 4


def test_draft_model_that_is_the_target():
    target = TorchTarget(tiny())
    done = run_method(target, METHOD, TEXT, options={"draft": tiny(), "drafts": 3, "length": 3}, max_tokens=24,
                      sampling=Sampling(temperature=0.9, seed=2))
    assert done.ledger.emitted == [4] * 6
    assert done.ledger.draft_forwards == 18


def test_refusals():
    target = TableTarget(Table(0, 5), rows=8)
    with pytest.raises(InputError, match=r"8 drafts of 8 tokens needs 65 rows, but target table has 8: 7 x 1 fits"):
        METHOD.decoder(Setup(target, WARM))
    with pytest.raises(InputError, match=r"2 drafts of 4 tokens needs 9 rows, but target table has 8: 2 x 3 fits"):
        METHOD.decoder(Setup(target, WARM), {"drafts": 2, "length": 4})
    with pytest.raises(InputError, match=r"at least 1, not 0 and 8"):
        METHOD.decoder(Setup(target, WARM), {"drafts": 0})
