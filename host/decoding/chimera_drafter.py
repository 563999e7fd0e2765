"""The drafter of Chimera: trigrams, one layer over all tokens, and a head for each level; see `methods.chimera`."""

from collections.abc import Sequence
from math import exp
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from terntable.host.decoding.draft_layer import DraftLayer, Rows
from terntable.host.decoding.drafter import Budget
from terntable.host.decoding.feature_drafter import FeatureDrafter, likeliest, tree_mask
from terntable.host.decoding.tree import DraftTree

__all__ = ["PATHS", "Chimera", "ChimeraNet", "Trigrams", "chimera_net"]

#: Tree of ranks: in "021" the likeliest token is followed by the third likeliest after it, and that by the second likeliest.
PATHS = tuple("0 1 2 3 00 01 02 10 11 20 30 000 001 002 010 100 200 0000 0001 0010 0100 1000 00000 00001 00010".split())
#: Levels of the tree, each with a head; width of an attention head; width of the MLP's inside as a multiple of the layer's.
HEADS, HEAD, INNER = 5, 64, 2


class Trigrams(nn.Module):
    """A vector (..., width) of three token embeddings (..., 3 width), oldest first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block, self.out = nn.Linear(3 * width, 3 * width), nn.Linear(3 * width, width)
        # The residual block begins as nothing.
        nn.init.zeros_(self.block.weight)
        nn.init.zeros_(self.block.bias)

    def forward(self, three: Tensor) -> Tensor:
        return self.out(three + F.silu(self.block(three)))


class ChimeraNet(nn.Module):
    """All that is trained.

    Attributes
    ----------
    joins : A_i (heads, width, 2 width).

    """

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.trigrams, self.layer = Trigrams(width), DraftLayer(width, heads, inner)
        self.joins = nn.Parameter(torch.eye(width).repeat(HEADS, 1, 2))

    def join(self, head: int, state: Tensor, context: Tensor) -> Tensor:
        """What enters the target's output layer, from the target's state and the context encoder's output, both (..., width)."""
        return F.linear(torch.cat([state, context], dim=-1), self.joins[head])


def chimera_net(width: int) -> ChimeraNet:
    """A fresh net for a model of a width."""
    return ChimeraNet(width, max(1, width // HEAD), INNER * width)


class _Known(NamedTuple):
    """The target's last state (1, width), the context encoder's output at the last known token, and its row of the cache."""

    state: Tensor
    context: Tensor
    row: Rows


class Chimera(FeatureDrafter):
    """Grows a listed tree with a net.

    Parameters
    ----------
    paths : of ranks below 10, each after the one that it continues.

    """

    def __init__(self, target: Any, net: ChimeraNet, paths: Sequence[str] = PATHS) -> None:
        super().__init__(target)
        self.net, self.paths = net, paths
        self.ranks = 1 + max(int(rank) for path in paths for rank in path)
        self.vectors: dict[tuple[int, int, int], Tensor] = {}
        self.weights = sum(weight.numel() for weight in net.parameters()) - net.joins.numel() + net.joins[0].numel()

    def trigram(self, tokens: Sequence[int]) -> Tensor:
        """Vector (1, width) of the last three tokens, looked up if it was made before; the first repeats where there are less."""
        a, b, c = [tokens[0]] * max(0, 3 - len(tokens)) + list(tokens[-3:])
        if (a, b, c) not in self.vectors:
            self.vectors[a, b, c] = self.net.trigrams(self.target.embed([a, b, c]).view(1, -1))
        return self.vectors[a, b, c]

    def refresh(self, states: Tensor) -> _Known:
        """States enter the cache; the last known token is run in the same forward, but does not stay."""
        end = len(self.text) - 1
        rows = torch.cat([states, self.trigram(self.text)])
        after, (keys, values) = self.net.layer(rows[None], torch.arange(end - len(states), end + 1, device=rows.device),
                                               past=self.cache.rows)
        self.book(self.weights)
        self.cache.append((keys[:, :, :-1], values[:, :, :-1]))
        return _Known(states[-1:], after[0, -1:], (keys[:, :, -1:], values[:, :, -1:]))

    def grow(self, known: _Known, budget: Budget) -> DraftTree:
        """The listed tree down to the budget's depth, then cut to its nodes."""
        seen, end = self.cache.length, len(self.text) - 1
        self.cache.append(known.row)
        tree, reach = DraftTree(self.text[-1]), [0.0]
        # Of each path of ranks its node and its rows of the cache, from the last known token down.
        nodes: dict[str, int] = {"": 0}
        rows: dict[str, list[int]] = {"": [seen]}
        inner, context, levels = [""], known.context, min(HEADS, budget.depth)
        for depth in range(1, levels + 1):
            logits = self.target.head(self.net.join(depth - 1, known.state.expand_as(context), context))
            choices = dict(zip(inner, likeliest(logits, self.ranks), strict=True))
            level = [path for path in self.paths if len(path) == depth and path[:-1] in nodes and int(path[-1]) < logits.shape[-1]]
            for path in level:
                token, log = choices[path[:-1]][int(path[-1])]
                nodes[path] = tree.add(nodes[path[:-1]], token, exp(min(log, 0.0)))
                reach.append(reach[nodes[path[:-1]]] + min(log, 0.0))
            inner = [path for path in level if any(len(other) == depth + 1 and other[:-1] == path for other in self.paths)]
            if not inner or depth == levels:
                break
            for place, path in enumerate(inner):
                rows[path] = [*rows[path[:-1]], self.cache.length + place]
            context = self._run(tree, [nodes[path] for path in inner], end + depth,
                                tree_mask(seen, [rows[path] for path in inner], context.device))
        return tree.best(1 + budget.nodes, reach)

    def _run(self, tree: DraftTree, nodes: Sequence[int], position: int, mask: Tensor) -> Tensor:
        before = self.text[-3:-1]
        vectors = [self.trigram([*before, *(tree.tokens[one] for one in tree.path(node))]) for node in nodes]
        after, fresh = self.net.layer(torch.cat(vectors)[None], torch.tensor([position] * len(nodes), device=mask.device),
                                      past=self.cache.rows, mask=mask)
        self.cache.append(fresh)
        self.book(self.weights)
        return after[0]
