"""The drafter of EAGLE-2 over a target's last hidden states; see `methods.eagle`."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from terntable.host.decoding.draft_layer import DraftLayer, Rows
from terntable.host.decoding.drafter import Budget
from terntable.host.decoding.eagle_tree import DEPTH, NODES, WIDTH, dynamic_tree
from terntable.host.decoding.feature_drafter import FeatureDrafter, likeliest, tree_mask
from terntable.host.decoding.tree import DraftTree
from terntable.host.errors import InputError

__all__ = ["Eagle", "FusedLayer", "fused_layer"]

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


def fused_layer(width: int) -> FusedLayer:
    """A fresh layer for a model of a width."""
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
