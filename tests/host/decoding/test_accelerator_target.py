"""The accelerator as a target: states, early exits and probes between layers, against transformers and against itself."""

import numpy as np
import pytest
import torch

from terntable.host.compiler import compile_directory
from terntable.host.decoding.accelerator_target import AcceleratorTarget
from terntable.host.decoding.generation import run_method
from terntable.host.decoding.layered import LayeredTarget
from terntable.host.decoding.loading import load_model
from terntable.host.decoding.target import LAST
from terntable.host.decoding.tree import DraftTree, Inject
from terntable.host.devices.golden import GoldenDevice
from terntable.host.errors import SessionError
from terntable.host.loaded import memory_needed
from terntable.host.session import Session
from terntable.hw.spec.config import preset
from tests.host.tiny_checkpoint import write_checkpoint

LAYERS, M = 4, 3
TEXT = np.random.default_rng(1).integers(2, 97, 12).tolist()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("models") / "deep", layers=LAYERS)


@pytest.fixture(scope="module")
def reference(folder):
    """The same checkpoint in transformers."""
    return LayeredTarget(load_model(str(folder)).model)


@pytest.fixture
def target(folder):
    program = compile_directory(folder, preset("nano"))
    with Session(GoldenDevice(program.config, memory_bytes=memory_needed(program, states=True)), program) as session:
        yield AcceleratorTarget(session)


def near(one, other, share):
    """Whether two arrays agree up to a share of the largest number; they come from different arithmetic."""
    one, other = np.asarray(one), np.asarray(other)
    assert one.shape == other.shape and np.abs(one - other).max() < share * np.abs(other).max()


def test_the_host_has_the_models_ends(target, reference):
    states = torch.from_numpy(np.random.default_rng(0).standard_normal((5, 36)).astype(np.float32))
    near(target.embed(TEXT), reference.embed(TEXT), 1e-3)
    near(target.head(states), reference.head(states), 1e-2)
    near(target.exit_logits(states), reference.exit_logits(states), 1e-2)
    assert target.width == 36 and target.device.type == "cpu" and target.dtype == torch.float32


@pytest.mark.parametrize("prefix", [1, M, 10])
def test_states_are_of_all_rows_the_prefix_first(target, reference, prefix):
    tree = DraftTree(TEXT[prefix])
    tree.add(0, TEXT[prefix + 1])
    layers = (0, 1, 3, LAST)
    for one in (target, reference):
        one.rollback(0)
    ours, theirs = (one.score(tree, TEXT[:prefix], hidden=layers).hidden for one in (target, reference))
    for layer in layers:
        # INT8 on both sides of each product: what was an ulp is a step of a 127th now and then.
        near(ours[layer], theirs[layer], 0.06)
    assert target.commit([0, 1]) == {} and target.length == prefix + 2


def test_states_of_later_rounds_follow(target):
    target.score(DraftTree(TEXT[4]), TEXT[:4], hidden=(LAST,))
    target.commit([0])
    again = target.score(DraftTree(TEXT[5]), hidden=(LAST,)).hidden[LAST]
    target.rollback(0)
    whole = target.score(DraftTree(TEXT[5]), TEXT[:5], hidden=(LAST,)).hidden[LAST]
    assert torch.equal(again, whole[5:]) and again.shape == (1, 36)


def test_laws_behind_an_exit(target, reference):
    for one in (target, reference):
        one.rollback(0)
    ours, theirs = (one.exit_law(TEXT[:5], 2) for one in (target, reference))
    near(ours, theirs, 0.05)
    # What drafting took is on the bill of the pass that verifies.
    alone = target.score(DraftTree(TEXT[5]), TEXT[:5])
    spent = alone.counters["passes"]
    assert spent == 2 + 1 + 2
    target.commit([0])
    assert target.score(DraftTree(TEXT[6])).counters["passes"] == 1


def injected(layers, vectors):
    """A tree of two tokens with a probe behind the root for each layer, all from the root's state."""
    tree = DraftTree(TEXT[5])
    tree.add(0, TEXT[6])
    for layer, weights in zip(layers, vectors, strict=True):
        tree.add_probe(0, Inject(layer, weights))
    return tree


def test_probes_enter_between_layers_as_in_transformers(target, reference):
    weights = torch.from_numpy(np.random.default_rng(2).standard_normal((36, 36)).astype(np.float32)) / 6
    tree = injected([2], [weights])
    scores = [one.score(tree, TEXT[:5], logits=True) for one in (target, reference)]
    near(scores[0].logits[:2], scores[1].logits[:2], 0.05)
    near(scores[0].logits[2], scores[1].logits[2], 0.15)
    assert scores[0].top(2, 3) == np.argsort(-scores[0].logits[2], kind="stable")[:3].tolist()
    reference.rollback(0)


def test_the_order_of_probes_does_not_matter(folder):
    """Those of the first layers run first, whatever their numbers; tokens have the bits of a pass without any."""
    program = compile_directory(folder, preset("tiny"))
    with Session(GoldenDevice(program.config, memory_bytes=memory_needed(program, states=True)), program) as session:
        target = AcceleratorTarget(session)
        maps = [torch.eye(36) * scale for scale in (1.0, 2.0, 3.0)]
        one = target.score(injected([3, 1, 2], maps), TEXT[:5], logits=True).logits
        target.rollback(0)
        other = target.score(injected([1, 2, 3], [maps[1], maps[2], maps[0]]), TEXT[:5], logits=True).logits
        np.testing.assert_array_equal(one[[0, 1, 3, 4, 2]], other)
        # The prefix went with the tree; now it is there already.
        target.rollback(0)
        session.extend(TEXT[:5])
        np.testing.assert_array_equal(target.score(injected([3, 1, 2], maps), logits=True).logits, one)
        target.rollback(0)
        plain = target.score(injected([], []), TEXT[:5], logits=True).logits
        np.testing.assert_array_equal(one[:2], plain)
        target.commit([0, 1])
        assert target.length == 7


def test_probes_of_two_kinds_are_refused(target):
    tree = injected([2], [torch.eye(36)])
    mixed = DraftTree(TEXT[5])
    mixed.add_probe(0, np.zeros(36, np.float32))
    mixed.add_probe(0, Inject(2, torch.eye(36)))
    early = DraftTree(TEXT[5])
    early.add_probe(0, Inject(2, torch.eye(36)))
    early.add(0, TEXT[6])
    for wrong in (mixed, early):
        with pytest.raises(SessionError, match="Probes that enter between layers must come after all tokens, and with no others"):
            target.score(wrong, TEXT[:5])
    assert target.length == 0
    target.score(tree, TEXT[:5])


@pytest.mark.parametrize("options", [{}, {"exit": 1, "length": 2}, {"stops": False}])
def test_a_model_drafts_for_itself(target, options):
    plain = run_method(target, "greedy", TEXT[:6], max_tokens=20)
    drafted = run_method(target, "del", TEXT[:6], max_tokens=20, options=options)
    assert drafted.tokens == plain.tokens and drafted.ledger.draft_forwards > 0
    assert drafted.ledger.counters["passes"] > plain.ledger.counters["passes"] - 20 + drafted.ledger.forwards
