"""Parallel prompt decoding: what a probe guesses, equality with plain decoding, budgets, training."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from terntable.host.compiler import compile_directory
from terntable.host.decoding.accelerator_target import AcceleratorTarget
from terntable.host.decoding.controllers import Constant
from terntable.host.decoding.drafter import Budget, Outcome
from terntable.host.decoding.generation import run_method
from terntable.host.decoding.ledger import Ledger
from terntable.host.decoding.loop import decode
from terntable.host.decoding.parts import save_part
from terntable.host.decoding.probe_drafter import PATIENCE, ProbeBudget, ProbeDrafter
from terntable.host.decoding.rules import Match
from terntable.host.decoding.scores import Scores
from terntable.host.decoding.sparse_tree import RANKS
from terntable.host.decoding.torch_target import TorchTarget
from terntable.host.decoding.training import ppd
from terntable.host.decoding.training.probes import accuracies, choose_anchors, read_tokens
from terntable.host.decoding.training.teacher import PROMPT
from terntable.host.decoding.training.trainer import Recipe, train
from terntable.host.decoding.tree import DraftTree
from terntable.host.devices.golden import GoldenDevice
from terntable.host.errors import InputError
from terntable.host.loaded import LoadedProgram, memory_needed
from terntable.host.sampling import Sampling
from terntable.host.session import Session
from terntable.hw.spec.config import preset
from tests.host.decoding.fakes import Table, TableTarget
from tests.host.decoding.models import tiny
from tests.host.decoding.tiny_teacher import TinyTeacher

ACCURACY = tuple(tuple(first * 0.5**rank for rank in range(RANKS)) for first in (0.5, 0.4, 0.3))
WIDTH = 32


class Oracle(TableTarget):
    """A target whose probe j behind a node knows the greedy text j + 1 tokens on."""

    def score(self, tree, prefix=(), *, logits=False, hidden=()):
        """Laws behind tokens and behind the greedy continuation where probes are."""
        self.tokens, self._tree, laws = [*self.tokens, *prefix], tree, []
        for node in range(len(tree)):
            text, left = [*self.tokens, *(tree.tokens[one] for one in tree.path(node) if one not in tree.probes)], node
            while left in tree.probes:
                text.append(self.table(text).best())
                left = tree.parents[left]
            laws.append(self.table(text).p)
        with np.errstate(divide="ignore"):
            values = np.log(np.array(laws))
        return Scores(values.argmax(axis=1).tolist(), values)


def part(folder, width=WIDTH, steps=3, name="tiny"):
    """Random vectors, kept for a model."""
    vectors = np.random.default_rng(2).normal(size=(steps, width)).astype(np.float32)
    save_part(folder / name / "ppd.safetensors", {"part": "ppd"}, {"vectors": vectors, "accuracy": np.array(ACCURACY[:steps])})
    return folder


@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize("nodes", [7, 20])
def test_right_guesses_are_accepted_as_deep_as_the_state_allows(nodes, dynamic):
    target = Oracle(Table(3, 12, zeros=False), context=200, rows=64)
    drafter, ledger = ProbeDrafter("abc", ACCURACY, dynamic=dynamic), Ledger()
    tokens, state = [], 0
    for outcome in decode(target, [1, 2, 3], drafter=drafter, rule=Match(), controller=Constant(nodes), max_tokens=60,
                          ledger=ledger):
        tokens += outcome.tokens
        tree = outcome.tree
        assert len(tree) - 1 <= nodes
        last = outcome.path[-1]
        if len(tokens) < 60:
            # The likeliest guesses are all right, so that what stopped the walk is the depth of the tree.
            assert not [child for child in tree.draws.get(last, ())]
            behind = sum(target_of(tree, probe) == last for probe in tree.probes)
            assert len(outcome.path) - 1 <= state and len(drafter.guesses) == behind >= 1
            state = behind
    plain = TableTarget(target.table, context=200, rows=64)
    assert tokens == run_method(plain, "greedy", [1, 2, 3], max_tokens=60).tokens
    assert ledger.tokens_per_forward > 1.8


def target_of(tree, node):
    """The token that a probe hangs on."""
    while node in tree.probes:
        node = tree.parents[node]
    return node


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=1.0, seed=3)])
@pytest.mark.parametrize("options", [{}, {"nodes": 5}, {"nodes": 24}, {"nodes": 24, "dynamic": False}])
def test_random_vectors_change_no_token(tmp_path, sampling, options):
    target, prompt = TorchTarget(tiny(sharp=4.0)), [3, 1, 4, 1, 5, 9, 2, 6]
    plain = run_method(target, "greedy", prompt, max_tokens=50, sampling=sampling)
    drafted = run_method(target, "ppd", prompt, max_tokens=50, sampling=sampling, options=options, model="tiny",
                         parts=part(tmp_path))
    assert drafted.tokens == plain.tokens
    assert target.length == len(prompt) + 50 - 1
    if options:
        assert drafted.ledger.verify_width > 2 and len(drafted.ledger.drafted) >= 1
    # What is in the cache is what plain decoding leaves there.
    kept = cache(target)
    run_method(target, "greedy", prompt, max_tokens=50, sampling=sampling)
    for one, other in zip(kept, cache(target), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)


def cache(target):
    """Keys and values of the committed tokens."""
    return [part for layer in target._cache.layers for part in (layer.keys, layer.values)]


@pytest.fixture(scope="module")
def eight(checkpoint):
    """The odd little model on a golden device of eight rows, which takes passes in place of three."""
    program = compile_directory(checkpoint, replace(preset("nano"), rows=8))
    device = GoldenDevice(program.config, memory_bytes=memory_needed(program))
    with Session(device, program, loaded=LoadedProgram(device, program)) as opened:
        yield AcceleratorTarget(opened)


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=1.0, seed=3)])
def test_it_runs_on_the_accelerator(eight, tmp_path, sampling):
    folder = part(tmp_path, eight.session.program.shape.hidden)
    plain = run_method(eight, "greedy", [5, 6, 7], max_tokens=12, sampling=sampling)
    drafted = run_method(eight, "ppd", [5, 6, 7], options={"nodes": 7}, max_tokens=12, sampling=sampling, model="tiny",
                         parts=folder)
    assert drafted.tokens == plain.tokens and drafted.ledger.verify_width > 3 and drafted.ledger.drafted


def test_a_target_of_three_rows_decodes_plainly(session, tmp_path):
    target = AcceleratorTarget(session)
    drafted = run_method(target, "ppd", [5, 6], max_tokens=4, model="tiny", parts=part(tmp_path, session.program.shape.hidden))
    assert drafted.ledger.verify_width == 1 and drafted.tokens == run_method(target, "greedy", [5, 6], max_tokens=4).tokens


def test_top_tokens_are_the_same_without_logits(session):
    target = AcceleratorTarget(session)
    given = target.score(DraftTree.chain(5, [6]), [1, 2], logits=True)
    best = np.argsort(-given.logits[1], kind="stable").tolist()
    top = given.top(1, RANKS)
    assert top == best[:len(top)] and len(top) == session.program.config.top_k
    assert Scores([0], given.logits).top(1, 3) == best[:3]
    assert target.score(DraftTree(5)).top(0, 2)[0] == target.score(DraftTree(5)).best[0]


def test_budgets_and_the_end_of_the_text_are_kept():
    drafter = ProbeDrafter("abc", ACCURACY)
    drafter.start([1])
    assert len(drafter.propose([1], Budget(2, 9))) == 1 and len(drafter.propose([1], Budget(30, 0))) == 1
    drafter.guesses = [list(range(RANKS))] * 3
    for nodes in range(3, 40):
        for depth in (1, 2, 5):
            tree = drafter.propose([1], Budget(nodes, depth))
            assert len(tree) - 1 <= nodes
            assert max(tree.depths[node] for node in range(len(tree)) if node not in tree.probes) <= depth
    # A target that names four tokens a row gives no node of a higher rank.
    drafter.observe(Outcome(tree, 0, [0], [2], Scores([0] * len(tree), None, top=lambda node, count: [4, 5, 6, 7]), 1))
    assert drafter.guesses and all(guess == [4, 5, 6, 7] for guess in drafter.guesses)
    tree = drafter.propose([1], Budget(31, 9))
    assert set(tree.tokens[1:]) <= {0, 4, 5, 6, 7} and tree.depths.count(1) <= 4 + 1


def test_the_clock_decides_how_many_rows_pay():
    drafter = ProbeDrafter("abc", ACCURACY)
    drafter.start([1])
    chosen = {}
    for price in (0.0, 0.02, 1.0):
        budget = ProbeBudget(drafter.plan)
        chosen[price] = settled(budget, Budget(63, 9), lambda rows, price=price: 1 + price * rows)
        assert budget.plan(Budget(5, 9)).nodes <= 5
    assert chosen[0.0] == 60 > chosen[0.02] > 0 == chosen[1.0]


def settled(budget, limits, cost, rounds=6):
    """What a budget comes to when passes take what they cost; sizes are tried from the least up."""
    ledger, given = Ledger(), []
    for number in range(rounds):
        given.append(budget.plan(limits).nodes)
        tree = DraftTree.chain(1, range(given[-1]))
        ledger.seconds["target"] += cost(len(tree))
        budget.observe(Outcome(tree, 0 if number else 5, [0], [2], Scores([], None), 1), ledger)
    assert given[:2] == [7, 7] and given[-1] == given[-2]
    return given[-1]


def test_a_size_that_was_dear_is_tried_again_in_time():
    drafter = ProbeDrafter("abc", ACCURACY)
    drafter.start([1])
    budget = ProbeBudget(drafter.plan)
    assert settled(budget, Budget(63, 9), lambda rows: rows) == 0
    assert settled_after(budget, 3 * PATIENCE) > 0


def settled_after(budget, rounds):
    """The largest number of rows in further rounds, all passes of one second."""
    ledger, most = Ledger(), 0
    ledger.seconds["target"] = budget._seen
    for _ in range(rounds):
        most = max(most, budget.plan(Budget(63, 9)).nodes)
        ledger.seconds["target"] += 1.0
        budget.observe(Outcome(DraftTree.chain(1, range(budget._given)), 0, [0], [2], Scores([], None), 1), ledger)
    return most


def test_options_are_checked(tmp_path):
    with pytest.raises(InputError, match="nodes must be at least 3"):
        run_method(TorchTarget(tiny()), "ppd", [1], options={"nodes": 2}, model="tiny", parts=part(tmp_path))
    with pytest.raises(InputError, match="needs the trained part ppd"):
        run_method(TorchTarget(tiny()), "ppd", [1], model="none", parts=tmp_path)


def teacher():
    """A random one that knows the words of the first vectors."""
    made = TinyTeacher(40, WIDTH, context=64)
    made.causal.tokenizer = lambda text, **_: SimpleNamespace(input_ids=[len(text), ord(text[5]) % 40])
    return made


def test_probes_in_training_are_those_of_decoding():
    made = teacher()
    tokens, vectors = torch.randint(40, (2, 12), generator=torch.Generator().manual_seed(1)), torch.randn(3, WIDTH)
    anchors = torch.tensor([[2, 5, 7], [0, 4, 6]])
    _, cache = read_tokens(made.model, tokens)
    with torch.no_grad():
        logits = ppd.prompt_logits(made.model, cache, vectors, anchors, 12)
    for row in range(2):
        for index, anchor in enumerate(anchors[row].tolist()):
            text, tree, node = tokens[row, :anchor + 1].tolist(), DraftTree(int(tokens[row, anchor])), 0
            for vector in vectors:
                node = tree.add_probe(node, vector)
            scores = TorchTarget(made.model).score(tree, text[:-1], logits=True)
            np.testing.assert_allclose(logits[row, :, index], scores.logits[1:], rtol=0, atol=1e-5)
    # Probe j behind the token at a guesses the one at a + 1 + j.
    sure = torch.zeros(2, 3, 3, 40)
    for row in range(2):
        for index, anchor in enumerate(anchors[row].tolist()):
            for step in range(3):
                sure[row, step, index, tokens[row, anchor + 2 + step]] = 1
    assert accuracies(sure, tokens, anchors, 2).tolist() == [[6, 0]] * 3


def test_training_repeats_reaches_the_part_only_and_measures(tmp_path):
    made, recipe = teacher(), Recipe(steps=2, batch=2, length=PROMPT + 12, rate=1e-2)
    tokens = torch.randint(40, (6, PROMPT + 12), generator=torch.Generator().manual_seed(0))
    before = {key: value.clone() for key, value in made.model.state_dict().items()}
    states = []
    for name in ("one", "two"):
        job = ppd.prepare(made, tokens, recipe)
        first = job.module.vectors.detach().clone()
        train(job.module, job.loss, recipe, folder=tmp_path, name=name)
        job.finish()
        assert not torch.equal(first, job.module.vectors)
        states.append(job.module.state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert all(torch.equal(before[key], value) for key, value in made.model.state_dict().items())
    assert all(weight.grad is None for weight in made.model.parameters())
    assert states[0]["accuracy"].shape == (3, RANKS) and 0 < states[0]["accuracy"].sum(dim=1).max() <= 1
    anchors = choose_anchors(recipe, 0, 5, 4, 3, 20)
    assert anchors.shape == (5, 4) and 3 <= anchors.min() and anchors.max() < 20 and (anchors.diff() > 0).all()
