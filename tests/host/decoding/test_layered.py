"""Layers one by one: as exact as the whole model, each once for a row, and probes that enter between them."""

import numpy as np
import pytest
import torch

from terntable.host.decoding.capabilities import Capability
from terntable.host.decoding.layered import LayeredTarget
from terntable.host.decoding.target import LAST
from terntable.host.decoding.torch_target import TorchTarget
from terntable.host.decoding.tree import DraftTree, Inject
from terntable.host.errors import SessionError
from tests.host.decoding.models import SIZES, tiny

PROMPT = [3, 1, 4, 1, 5, 9, 2, 6]
LAYERS, WIDTH = 3, 32


@pytest.fixture(scope="module")
def model():
    return tiny()


def cache(target):
    """Keys and values of the committed tokens."""
    return [part for layer in target._cache.layers for part in (layer.keys, layer.values)]


@pytest.mark.parametrize(("family", "layered"), [("Llama", True), ("BitNet", True), ("Qwen3", True), ("Gemma", True),
                                                 ("Granite", False), ("GPTNeoX", False), ("GPT2", False)])
def test_the_structure_is_found_by_what_the_parts_give(family, layered):
    # Granite keeps its parts where Llama does, but scales what enters the first layer.
    target = LayeredTarget(tiny(family, **SIZES | {"embedding_multiplier": 3.0} if family == "Granite" else {}))
    both = Capability.EARLY_EXIT | Capability.MID_INJECT
    assert target.capabilities & both == (both if layered else Capability(0)) and target.length == 0
    plain = TorchTarget(target.model)
    assert target.capabilities & ~both == plain.capabilities
    np.testing.assert_array_equal(target.score(DraftTree.chain(6, [1, 2]), PROMPT, logits=True).logits,
                                  plain.score(DraftTree.chain(6, [1, 2]), PROMPT, logits=True).logits)
    if not layered:
        with pytest.raises(SessionError, match="cannot be run one by one"):
            target.run_ahead([1], 1)


@pytest.mark.parametrize("layer", [1, 2])
def test_rows_that_ran_ahead_go_on_to_the_same_logits(model, layer):
    target, plain = LayeredTarget(model), TorchTarget(model)
    tree, wanted = DraftTree.chain(6, [7, 8, 9]), (0, 1, 2, LAST)
    states = target.run_ahead([*PROMPT, 6], layer)
    assert states.shape == (len(PROMPT) + 1, WIDTH) and target.length == 0
    for token in (7, 8):
        target.run_ahead([token], layer)
    scores, whole = target.score(tree, PROMPT, logits=True, hidden=wanted), plain.score(tree, PROMPT, logits=True, hidden=wanted)
    np.testing.assert_allclose(scores.logits, whole.logits, rtol=0, atol=1e-10)
    for one in wanted:
        torch.testing.assert_close(scores.hidden[one], whole.hidden[one], rtol=0, atol=1e-10)
    # Each layer ran once for each row, be it before or after the exit.
    assert target.layer_rows == LAYERS * (len(PROMPT) + 4)
    target.commit([0, 1])
    plain.commit([0, 1])
    for one, other in zip(cache(target), cache(plain), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)
    # And so it goes in the next round, without a prefix.
    target.run_ahead([11], layer)
    np.testing.assert_allclose(target.score(DraftTree(11), logits=True).logits, plain.score(DraftTree(11), logits=True).logits,
                               rtol=0, atol=1e-10)
    torch.testing.assert_close(target.exit_logits(whole.hidden[2]), target.head(model.model.norm(whole.hidden[2])))


def test_another_tree_forgets_what_ran_ahead(model):
    target, plain = LayeredTarget(model), TorchTarget(model)
    target.run_ahead([*PROMPT, 6, 7], 2)
    with pytest.raises(SessionError, match="Rows that left at layer 2 are waiting"):
        target.run_ahead([8], 1)
    tree = DraftTree.chain(6, [8])
    np.testing.assert_allclose(target.score(tree, PROMPT, logits=True).logits, plain.score(tree, PROMPT, logits=True).logits,
                               rtol=0, atol=1e-10)
    assert not target.ahead and target.layer_rows == 2 * (len(PROMPT) + 2)
    for layer in (0, LAYERS):
        with pytest.raises(SessionError, match=f"Exit {layer} is outside 1 to 2"):
            target.run_ahead([1], layer)
    target.rollback(0)
    with pytest.raises(SessionError, match="65 tokens do not fit"):
        target.run_ahead([1] * 65, 1)


def probed(weights, layers):
    """Two nodes below the root, each and the root with a chain of probes behind."""
    tree = DraftTree(6)
    nodes = [0, tree.add(0, 7), tree.add(0, 8)]
    nodes.append(tree.add(nodes[1], 9))
    chains = {}
    for node in nodes:
        last, chains[node] = node, []
        for layer, matrix in zip(layers, weights, strict=True):
            last = tree.add_probe(last, Inject(layer, matrix))
            chains[node].append(last)
    return tree, chains


def guess(model, tokens, layers, weights):
    """Logits of each probe behind the last of tokens: the parts of the model called by hand, one long causal sequence at a time."""
    count = len(tokens)
    rows = torch.arange(count + len(layers))[None]
    mask = torch.full((len(rows[0]),) * 2, torch.finfo(torch.float64).min, dtype=torch.float64).triu(1)[None, None]
    around = model.model.rotary_emb(torch.zeros(1, dtype=torch.float64), position_ids=rows)
    with torch.inference_mode():
        states = model.model.embed_tokens(torch.tensor([tokens]))
        states = torch.cat([states, torch.zeros(1, len(layers), WIDTH, dtype=torch.float64)], dim=1)
        for index in range(LAYERS + 1):
            for step, layer in enumerate(layers):
                if layer == index:
                    states[0, count + step] = weights[step] @ states[0, count - 1]
            if index < LAYERS:
                # A probe that is not there yet is not seen.
                here = [*range(count), *(count + step for step, layer in enumerate(layers) if layer <= index)]
                part = model.model.layers[index](states[:, here], attention_mask=mask[:, :, here][..., here],
                                                 position_embeddings=tuple(one[:, here] for one in around))
                states[:, here] = part
        return model.lm_head(model.model.norm(states[0, count:])).numpy()


@pytest.mark.parametrize("layers", [(2, 2), (1, 2), (2, 1), (3, 3), (0, 3)])
def test_probes_enter_between_layers_and_change_no_token(model, layers):
    torch.manual_seed(1)
    weights = [torch.randn(WIDTH, WIDTH, dtype=torch.float64) / 6 for _ in layers]
    target, plain = LayeredTarget(model), TorchTarget(model)
    tree, chains = probed(weights, layers)
    bare = DraftTree(6)
    for node in range(1, 4):
        bare.add(tree.parents[node], tree.tokens[node])
    scores, whole = target.score(tree, PROMPT, logits=True), plain.score(bare, PROMPT, logits=True)
    np.testing.assert_allclose(scores.logits[:4], whole.logits, rtol=0, atol=1e-10)
    for node, chain in chains.items():
        text = [*PROMPT, *(tree.tokens[one] for one in tree.path(node))]
        np.testing.assert_allclose(scores.logits[chain], guess(model, text, layers, weights), rtol=0, atol=1e-9)
        assert scores.top(chain[0], 3) == np.argsort(-scores.logits[chain[0]])[:3].tolist()
    # A probe costs the layers behind its own.
    assert target.layer_rows == LAYERS * (len(PROMPT) + 4) + 4 * sum(LAYERS - layer for layer in layers)
    target.commit([0, 1, 3])
    plain.commit([0, 1, 3])
    assert target.length == len(PROMPT) + 3
    for one, other in zip(cache(target), cache(plain), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def test_a_transfer_behind_the_last_layer_is_a_head_on_the_token_itself(model):
    weights = torch.randn(WIDTH, WIDTH, dtype=torch.float64)
    target = LayeredTarget(model)
    tree = DraftTree(6)
    tree.add_probe(0, Inject(LAYERS, weights))
    raw = []
    hook = model.model.layers[-1].register_forward_hook(lambda module, given, out: raw.append(out))
    scores = target.score(tree, PROMPT, logits=True)
    hook.remove()
    np.testing.assert_allclose(scores.logits[1], target.exit_logits((weights @ raw[0][0, -1])[None])[0], rtol=0, atol=1e-10)


def test_probes_out_of_order_are_refused(model):
    target, weights = LayeredTarget(model), torch.eye(WIDTH, dtype=torch.float64)
    tree = DraftTree(6)
    tree.add_probe(0, Inject(1, weights))
    tree.add(0, 7)
    with pytest.raises(SessionError, match="Node 1 is no probe|must come after all tokens|no probe that enters"):
        target.score(tree)
    tree = DraftTree(6)
    tree.add_probe(0, Inject(4, weights))
    with pytest.raises(SessionError, match="after 0 to 3 layers"):
        target.score(tree)
