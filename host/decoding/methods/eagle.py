"""EAGLE-2: one decoder layer continues the target's own last hidden states (Li et al. 2024, arXiv 2401.15077 and 2406.16858).

Row j of the drafter is made of the target's state at token j and the embedding of token j + 1; what comes out stands for the
target's state at j + 1, and the target's output layer makes the law of token j + 2 of it. In the tree a row takes its parent's
output in place of the state. Embedding and output layer are the target's and stay as they are. Trees grow as
`terntable.host.decoding.eagle_tree` says.

Left open by the paper and decided here: both halves of the input are normalised (SpecVLM found that a norm at the input matters),
and the layer keeps its own input norm. The loss is that of SpecVLM, 0.1 cross-entropy with the target's law and 1.0 smooth L1 on
states, in place of EAGLE's same terms with other gold values.

Above temperature 0 the children are chosen, not drawn, so the rule is the one for chosen drafts, as in the released code.

Cost: a draft forward for each level; each reads the layer, the joining matrix and the target's output layer.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from terntable.host.decoding.capabilities import Capability
from terntable.host.decoding.draft_layer import DraftLayer, Rows
from terntable.host.decoding.drafter import Budget
from terntable.host.decoding.eagle_tree import DEPTH, NODES, WIDTH, dynamic_tree
from terntable.host.decoding.feature_drafter import FeatureDrafter, likeliest, load_weights, tree_mask
from terntable.host.decoding.method import Decoder, Method, Setup
from terntable.host.decoding.rules import Deterministic
from terntable.host.decoding.tree import DraftTree
from terntable.host.errors import InputError

__all__ = ["METHOD", "Eagle", "FusedLayer", "fused_layer"]

#: Width of an attention head, and of the MLP's inside as a multiple of the layer's.
HEAD, INNER = 64, 3


class FusedLayer(nn.Module):
    """A decoder layer whose input is a state and an embedding, joined by a matrix from twice the width."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.state_norm, self.token_norm = nn.RMSNorm(width, eps=1e-5), nn.RMSNorm(width, eps=1e-5)
        self.join = nn.Linear(2 * width, width, bias=False)
        self.layer = DraftLayer(width, heads, inner)

    def fuse(self, states: Tensor, embedded: Tensor) -> Tensor:
        """Rows (B, n, width) of states and embeddings of that shape."""
        return self.join(torch.cat([self.state_norm(states), self.token_norm(embedded)], dim=-1))

    def forward(self, rows: Tensor, positions: Tensor, *, past: Rows | None = None,
                mask: Tensor | None = None) -> tuple[Tensor, Rows]:
        """Next states (B, n, width) from fused rows; the rest as `DraftLayer` takes and gives it."""
        return self.layer(rows, positions, past=past, mask=mask)


def fused_layer(config: Any) -> FusedLayer:
    """A fresh layer for a model's configuration."""
    width = config.get_text_config().hidden_size
    return FusedLayer(width, max(1, width // HEAD), INNER * width)


class Eagle(FeatureDrafter):
    """Grows dynamic trees with a layer.

    Parameters
    ----------
    width, depth, nodes : of the trees.

    """

    def __init__(self, target: Any, layer: FusedLayer, *, width: int = WIDTH, depth: int = DEPTH, nodes: int = NODES) -> None:
        super().__init__(target)
        if min(width, depth, nodes) < 1:
            raise InputError(f"A tree needs a width, a depth and nodes of at least 1, not {width}, {depth} and {nodes}")
        self.layer, self.width, self.depth, self.nodes = layer, width, depth, nodes
        self.weights = sum(weight.numel() for weight in layer.parameters())

    def refresh(self, states: Tensor) -> Tensor:
        """The state (1, width) that the drafter expects at the last known token."""
        end = len(self.text) - 1
        first = end - len(states)
        rows = self.layer.fuse(states, self.target.embed(self.text[first + 1:end + 1]))
        return self.run(rows, torch.arange(first, end, device=states.device))[-1:]

    def run(self, rows: Tensor, positions: Tensor, mask: Tensor | None = None) -> Tensor:
        """One draft forward of rows (n, width), which enter the cache."""
        after, kept = self.layer(rows[None], positions, past=self.cache.rows, mask=mask)
        self.cache.append(kept)
        self.book(self.weights)
        return after[0]

    def grow(self, known: Tensor, budget: Budget) -> DraftTree:
        """A dynamic tree, as large as the budget lets it be."""
        seen, position = self.cache.length, len(self.text) - 2
        # What the drafter expects at each expanded node, and the rows of the cache from the root down to it.
        expected: dict[int, Tensor] = {0: known}
        rows: dict[int, list[int]] = {0: []}

        def expand(tree: DraftTree, nodes: Sequence[int]) -> Sequence[Sequence[tuple[int, float]]]:
            if list(nodes) == [0]:
                return likeliest(self.target.head(known), self.width)
            for place, node in enumerate(nodes):
                rows[node] = [*rows[tree.parents[node]], self.cache.length + place]
            depth = tree.depths[nodes[0]]
            fused = self.layer.fuse(torch.cat([expected[tree.parents[node]] for node in nodes]),
                                    self.target.embed([tree.tokens[node] for node in nodes]))
            after = self.run(fused, torch.full((len(nodes),), position + depth, device=known.device),
                             tree_mask(seen, [rows[node] for node in nodes], known.device))
            expected.update({node: after[place:place + 1] for place, node in enumerate(nodes)})
            return likeliest(self.target.head(after), self.width)

        return dynamic_tree(self.text[-1], expand, width=self.width, depth=min(self.depth, budget.depth),
                            nodes=min(self.nodes, budget.nodes))


def build(setup: Setup, *, width: int = WIDTH, depth: int = DEPTH, nodes: int = NODES) -> Decoder:
    """At the sizes that SpecVLM gives for EAGLE-2; the target's own memory of rows may cut them."""
    layer = fused_layer(setup.target.model.config)  # type: ignore[attr-defined]
    load_weights("eagle", setup, "eagle", layer)
    return Decoder(Eagle(setup.target, layer, width=width, depth=depth, nodes=nodes), Deterministic())


METHOD = Method(name="eagle", title="EAGLE-2 (baseline)", paper="Li et al. 2024, arXiv 2406.16858", build=build,
                needs=Capability.TREE | Capability.LAST_HIDDEN, trained="eagle")
