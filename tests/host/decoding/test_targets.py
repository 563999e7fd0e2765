"""Targets: a tree scores as its paths do, and what is committed is what a fresh run of the same tokens gives."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from terntable.host.compiler import compile_directory
from terntable.host.decoding.accelerator_target import AcceleratorTarget
from terntable.host.decoding.capabilities import Capability
from terntable.host.decoding.target import LAST
from terntable.host.decoding.torch_target import ROWS, TorchTarget
from terntable.host.decoding.tree import DraftTree
from terntable.host.devices.golden import GoldenDevice
from terntable.host.errors import DeviceFault, InputError, SessionError
from terntable.host.loaded import LoadedProgram, memory_needed
from terntable.host.session import Session
from terntable.hw.spec.config import preset
from tests.host.decoding.models import FAMILIES, tiny

PROMPT = [3, 1, 4, 1, 5, 9, 2, 6]


@dataclass
class Case:
    """A kind of target and how its insides are seen.

    Attributes
    ----------
    fresh : makes an empty target.
    embed : input vectors of tokens.
    cache : the committed part of the cache, slots along axis 0.
    close : what two results may differ by.

    """

    fresh: Any
    embed: Any
    cache: Any
    close: float

    def logits(self, tokens):
        """Those after the last token, run without drafts, in a target of its own."""
        return self.fresh().score(DraftTree(tokens[-1]), tokens[:-1], logits=True).logits[0]

    def same(self, one, other):
        """Whether two arrays are the same, as far as this kind can tell."""
        np.testing.assert_allclose(one, other, rtol=0, atol=self.close)


def torch_case(model):
    """A model of transformers."""
    def cache(target):
        parts = [part[0].transpose(0, 1).flatten(1) for layer in target._cache.layers for part in (layer.keys, layer.values)]
        return torch.cat(parts, dim=1).numpy()

    return Case(lambda: TorchTarget(model), lambda tokens: TorchTarget(model).embed(tokens), cache, 1e-10)


def golden_case(sessions, loaded):
    """The golden device."""
    program = loaded.program
    table = program.embed.reshape(-1, program.embed_stride)[:, :2 * program.shape.hidden].copy().view(np.float16)

    def fresh():
        sessions.append(Session(loaded.device, program, loaded=loaded))
        return AcceleratorTarget(sessions[-1])

    def cache(target):
        kv = program.kv
        regions = target.session.kv_bytes().reshape(-1, kv.record_bytes)
        planes = regions[:, :kv.scales_offset].reshape(-1, kv.context, kv.beat_bytes)
        scales = regions[:, kv.scales_offset:][:, :kv.context * kv.entry].reshape(-1, kv.context, kv.entry)
        return np.concatenate([part.swapaxes(0, 1)[:target.length].reshape(target.length, -1) for part in (planes, scales)], axis=1)

    return Case(fresh, lambda tokens: table[list(tokens)].astype(np.float32), cache, 0.0)


@pytest.fixture(scope="module")
def programs(checkpoint):
    """The little model in golden devices of 3 and of 8 rows."""
    made = {name: compile_directory(checkpoint, preset(name)) for name in ("nano", "tiny")}
    return {name: LoadedProgram(GoldenDevice(program.config, memory_bytes=memory_needed(program, sessions=40)), program)
            for name, program in made.items()}


@pytest.fixture(params=["golden nano", "golden tiny", *FAMILIES])
def case(request):
    """Each kind of target."""
    sessions = []
    if request.param.startswith("golden"):
        yield golden_case(sessions, request.getfixturevalue("programs")[request.param.split()[1]])
    else:
        yield torch_case(tiny(request.param))
    for session in sessions:
        session.close()


def random_tree(rng, nodes, root):
    """A tree of up to so many nodes."""
    tree = DraftTree(root)
    for _ in range(50):
        if len(tree) == nodes:
            break
        tree.add(int(rng.integers(len(tree))), int(rng.integers(2, 40)))
    return tree


def test_every_node_scores_as_its_path_does(case):
    rng = np.random.default_rng(0)
    for prefix in ([], PROMPT[:1], PROMPT):
        target = case.fresh()
        target.score(DraftTree(PROMPT[0]), PROMPT[1:3])
        target.commit([0])
        known = [*PROMPT[1:3], PROMPT[0], *prefix]
        tree = random_tree(rng, min(target.rows, 6), 7)
        scores = target.score(tree, prefix, logits=True)
        assert scores.logits.shape == (len(tree), target.vocab) and target.length == len(known)
        for node in range(len(tree)):
            wanted = case.logits([*known, *(tree.tokens[one] for one in tree.path(node))])
            case.same(scores.logits[node], wanted)
            assert scores.best[node] == wanted.argmax()


def test_the_cache_after_each_commit_is_that_of_a_fresh_run(case):
    rng = np.random.default_rng(1)
    target, known, prefix = case.fresh(), PROMPT[:5], PROMPT[:5]
    for turn in range(6):
        tree = random_tree(rng, min(target.rows, 6), int(rng.integers(2, 40)))
        if turn % 2 == 0 and target.rows > 3:
            # The deepest branch last, so that rows move.
            tree.add(len(tree) - 2, 39)
        target.score(tree, prefix)
        assert target.length == len(known), "a prefix is committed at once"
        path = tree.path(len(tree) - 1 if turn % 3 else int(rng.integers(len(tree))))
        target.commit(path)
        known = known + [tree.tokens[node] for node in path]
        other = case.fresh()
        other.score(DraftTree(known[-1]), known[:-1])
        other.commit([0])
        assert target.length == other.length == len(known)
        mine, theirs = case.cache(target), case.cache(other)
        assert mine.shape == theirs.shape and len(mine) == len(known)
        case.same(mine, theirs)
        prefix = rng.integers(2, 40, turn % 3).tolist()
        known = known + prefix


def test_a_tree_that_is_not_committed_leaves_only_its_prefix(case):
    target = case.fresh()
    target.score(DraftTree.chain(8, [9, 10]), PROMPT[:4])
    assert target.length == 4
    for prefix in ([], PROMPT[4:5]):
        scores = target.score(DraftTree.chain(11, [12]), prefix, logits=True)
    assert target.length == 5
    case.same(scores.logits[1], case.logits([*PROMPT[:5], 11, 12]))
    target.commit([0, 1])
    assert target.length == 7
    target.score(DraftTree.chain(8, [9, 10]), [13])
    target.commit([])
    case.same(target.score(DraftTree(14), logits=True).logits[0], case.logits([*PROMPT[:5], 11, 12, 13, 14]))


def test_rollback_forgets(case):
    target = case.fresh()
    for length in (0, 3, 6, 8):
        target.rollback(0)
        target.score(DraftTree.chain(8, [9, 10]), PROMPT)
        target.rollback(length)
        assert target.length == length
        case.same(target.score(DraftTree(7), logits=True).logits[0], case.logits([*PROMPT[:length], 7]))
        with pytest.raises(SessionError, match=f"rollback to {length + 1} is impossible: the session holds {length}"):
            target.rollback(length + 1)


def test_probes_are_what_their_vectors_are_and_do_not_disturb(case):
    vectors = case.embed([21, 22])
    plain, with_probes = DraftTree(7), DraftTree(7)
    plain.add(0, 13)
    first = with_probes.add_probe(0, vectors[0])
    real = with_probes.add(0, 13)
    for prefix in ([], PROMPT[:4]):
        target = case.fresh()
        known = [5, *prefix]
        target.score(DraftTree(5))
        target.commit([0])
        scores = target.score(with_probes, prefix, logits=True)
        case.same(scores.logits[first], case.logits([*known, 7, 21]))
        case.same(scores.logits[[0, real]], case.fresh().score(plain, known, logits=True).logits)
        target.commit([0, real])
        case.same(target.score(DraftTree(9), logits=True).logits[0], case.logits([*known, 7, 13, 9]))
    tail = DraftTree(7)
    tail.add_probe(tail.add_probe(0, vectors[0]), vectors[1])
    case.same(case.fresh().score(tail, PROMPT, logits=True).logits[2], case.logits([*PROMPT, 7, 21, 22]))


def test_mistakes_leave_the_target_as_it_was(case):
    target = case.fresh()
    tree = DraftTree.chain(7, [8, 9])
    target.score(tree, PROMPT[:5])
    for path in ([1], [0, 2], [3], [0, 1, 1]):
        with pytest.raises(SessionError, match="Node"):
            target.commit(path)
    target.commit([0, 1])
    for wrong in (DraftTree.chain(7, range(2, 3 + target.rows)), DraftTree(7)):
        with pytest.raises(SessionError, match="fit"):
            target.score(wrong, [2] * (target.context - target.length))
    with pytest.raises((InputError, DeviceFault, IndexError)):
        target.score(DraftTree.chain(7, [target.vocab]), [2, 3])
    with pytest.raises((SessionError, RuntimeError)):
        broken = DraftTree(7)
        broken.add_probe(0, np.zeros(3, np.float32))
        target.score(broken, [2])
    with pytest.raises(SessionError):
        target.score(DraftTree(7), hidden=(target.layers + 1,))
    assert target.length == 7
    case.same(target.score(DraftTree(10), logits=True).logits[0], case.logits([*PROMPT[:5], 7, 8, 10]))


def test_logits_that_were_not_asked_for_are_not_there(case):
    scores = case.fresh().score(DraftTree(7), PROMPT)
    assert scores.best == [case.logits([*PROMPT, 7]).argmax()]
    with pytest.raises(ValueError, match="asked for best tokens only"):
        _ = scores.logits


def test_a_full_context_takes_its_last_token_and_no_more(case):
    target = case.fresh()
    text = np.resize(PROMPT, target.context).tolist()
    target.score(DraftTree(text[-1]), text[:-1])
    target.commit([0])
    assert target.length == target.context
    with pytest.raises(SessionError, match="fit"):
        target.score(DraftTree(7))


@pytest.mark.parametrize("family", FAMILIES)
def test_hidden_states_are_those_of_the_layers(family):
    model = tiny(family)
    target, tree = TorchTarget(model), random_tree(np.random.default_rng(2), 6, 7)
    scores = target.score(tree, PROMPT, logits=True, hidden=(0, 1, 2, LAST))
    rows = len(PROMPT) + len(tree)
    assert {states.shape for states in scores.hidden.values()} == {(rows, 32)}
    np.testing.assert_allclose(target.head(scores.hidden[LAST][len(PROMPT):]).numpy(), scores.logits, atol=1e-10)
    for node in range(len(tree)):
        path = [len(PROMPT) + one for one in tree.path(node)]
        ids = torch.tensor([[*PROMPT, *(tree.tokens[one] for one in tree.path(node))]])
        with torch.inference_mode():
            wanted = model(input_ids=ids, output_hidden_states=True).hidden_states
        for layer, states in scores.hidden.items():
            np.testing.assert_allclose(states[[*range(len(PROMPT)), *path]], wanted[layer][0], atol=1e-10)
    for layer in (model.config.num_hidden_layers, -2):
        with pytest.raises(SessionError, match=f"Layer {layer} is not one of 0 to 2"):
            target.score(tree, hidden=(layer,))


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_of_a_layer_are_counted(family):
    target = TorchTarget(tiny(family))
    assert target.layers == 3 and 32 * 32 * 6 < target.layer_weights < 32 * 32 * 16


@pytest.mark.parametrize(("family", "settings", "sentence"), [
    ("Gemma2", {"head_dim": 8, "num_hidden_layers": 2, "vocab_size": 40, "hidden_size": 32},
     "A Gemma2ForCausalLM keeps a DynamicSlidingWindowLayer, which cannot take tokens back"),
    ("Mistral", {"vocab_size": 40, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
                 "num_key_value_heads": 2, "sliding_window": 8}, "A MistralForCausalLM keeps a DynamicSlidingWindowLayer"),
    ("Bloom", {"vocab_size": 40, "hidden_size": 32, "n_layer": 2, "n_head": 4}, "A BloomForCausalLM takes no positions"),
    ("Mamba", {"vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2}, "A MambaForCausalLM takes no positions"),
    ("Falcon", {"vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "alibi": True},
     "A FalconForCausalLM takes no positions"),
])
def test_families_that_cannot_are_refused(family, settings, sentence):
    config = getattr(transformers, f"{family}Config")(**settings)
    with pytest.raises(InputError, match=sentence):
        TorchTarget(getattr(transformers, f"{family}ForCausalLM")(config))


def test_local_attention_gets_no_trees():
    target = TorchTarget(tiny("GPTNeo", vocab_size=40, hidden_size=32, num_layers=2, num_heads=4, max_position_embeddings=64,
                              attention_types=[[["global", "local"], 1]]))
    assert Capability.TREE not in target.capabilities and Capability.CHAIN in target.capabilities
    tree = DraftTree(7)
    tree.add(0, 1)
    tree.add(0, 2)
    with pytest.raises(SessionError, match="attention of a GPTNeoForCausalLM takes no mask for trees"):
        target.score(tree)
    assert len(target.score(DraftTree.chain(7, [1, 2])).best) == 3


def test_a_torch_target_is_bounded():
    model = tiny()
    with pytest.raises(SessionError, match="context of 65 is outside 1 to 64"):
        TorchTarget(model, context=65)
    with pytest.raises(SessionError, match="context of 0 is outside 1 to 64"):
        TorchTarget(model, context=0)
    with pytest.raises(SessionError, match=f"tree of {ROWS + 1} nodes does not fit a pass of {ROWS} rows"):
        TorchTarget(model).score(DraftTree.chain(7, range(ROWS)))


@pytest.mark.parametrize("logits", [False, True])
def test_a_forward_waits_for_the_device_once(logits, monkeypatch):
    target, waits = TorchTarget(tiny()), []

    def watched(name):
        whole = getattr(torch.Tensor, name)
        return lambda tensor, *given: waits.append(name) or whole(tensor, *given)

    for name in ("cpu", "tolist", "item", "numpy"):
        monkeypatch.setattr(torch.Tensor, name, watched(name))
    scores = target.score(DraftTree.chain(3, [4, 5]), [1, 2], logits=logits)
    # What is in the host's memory already does not wait again.
    assert waits == (["cpu", "numpy"] if logits else ["tolist"])
    assert len(scores.best) == 3 and (not logits or scores.logits.shape == (3, target.vocab))
    target.commit([0, 1])
    assert len(waits) == (2 if logits else 1)
