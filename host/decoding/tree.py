"""Drafts as a tree: tokens that may follow, and probe rows that ride along to guess further ones."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from terntable.host.decoding.law import TokenLaw

__all__ = ["DraftTree", "Inject"]


@dataclass(frozen=True, eq=False)
class Inject:
    """Content of a probe that enters after `layer` layers, as `weights` (width, width) times what the node it hangs on is there."""

    layer: int
    weights: Any


class DraftTree:
    """Nodes in the order they were added, each after its parent; node 0 is the last known token.

    Attributes
    ----------
    tokens : of the nodes; 0 where a probe is.
    parents : of the nodes, -1 for the root.
    depths : distance from the root.
    estimates : the drafter's estimate of the probability that a node is accepted once its parent is, 1 where it has none.
    laws : node -> the law that its children were drawn from; a node without one has children that were chosen.
    draws : node -> its children in the order of the draws, again for each time that a token was drawn.
    probes : node -> what the target puts in for it, in place of a token.

    """

    def __init__(self, root: int) -> None:
        self.tokens, self.parents, self.depths, self.estimates = [root], [-1], [0], [1.0]
        self.laws: dict[int, TokenLaw] = {}
        self.draws: dict[int, list[int]] = {}
        self.probes: dict[int, Any] = {}
        self._children: dict[tuple[int, int], int] = {}

    @classmethod
    def chain(cls, root: int, tokens: Iterable[int], estimate: float = 1.0) -> "DraftTree":
        """A tree of one path, with the same estimate for all tokens."""
        tree, node = cls(root), 0
        for token in tokens:
            node = tree.add(node, token, estimate)
        return tree

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def is_chain(self) -> bool:
        """Whether each node follows the one before it."""
        return self.parents == list(range(-1, len(self.parents) - 1))

    def add(self, parent: int, token: int, estimate: float = 1.0) -> int:
        """The child of a node with a token, made if there is none; drawing it again is written down."""
        node = self._children.get((parent, token))
        if node is None:
            node = self._append(parent, token, estimate)
            self._children[parent, token] = node
        self.draws.setdefault(parent, []).append(node)
        return node

    def add_probe(self, parent: int, content: Any) -> int:
        """A row after a node, or after another probe, which nothing is verified at."""
        node = self._append(parent, 0, 0.0)
        self.probes[node] = content
        return node

    def child(self, node: int, token: int) -> int | None:
        """The child of a node with a token."""
        return self._children.get((node, token))

    def anchor(self, node: int) -> int:
        """The token that a probe hangs on, be it through other probes."""
        while node in self.probes:
            node = self.parents[node]
        return node

    def drawn(self, node: int) -> list[int]:
        """Tokens of a node's children in the order of the draws."""
        return [self.tokens[child] for child in self.draws.get(node, ())]

    def path(self, node: int) -> list[int]:
        """Nodes from the root to a node, both included."""
        nodes = []
        while node >= 0:
            nodes.append(node)
            node = self.parents[node]
        return nodes[::-1]

    def reach(self) -> list[float]:
        """Probability that each node is reached, by the estimates."""
        reach = [1.0]
        for parent, estimate in zip(self.parents[1:], self.estimates[1:], strict=True):
            reach.append(reach[parent] * estimate)
        return reach

    def best(self, nodes: int, reach: Sequence[float] | None = None) -> "DraftTree":
        """The root and the nodes that are likeliest to be reached, `nodes` in all at most; no node is likelier than its parent."""
        if len(self) <= nodes:
            return self
        if self.probes or self.laws:
            raise ValueError("A tree with probes or drawn children cannot be cut: which of them stay would depend on the draws")
        reach = self.reach() if reach is None else reach
        # Of equals the shallower stays, and with it every ancestor.
        order = sorted(range(1, len(self)), key=lambda node: (-reach[node], self.depths[node]))
        cut, place = DraftTree(self.tokens[0]), {0: 0}
        for node in sorted(order[:nodes - 1]):
            place[node] = cut.add(place[self.parents[node]], self.tokens[node], self.estimates[node])
        return cut

    def _append(self, parent: int, token: int, estimate: float) -> int:
        if not 0 <= parent < len(self.tokens):
            raise ValueError(f"The parent of node {len(self.tokens)} is {parent}, but must be 0 to {len(self.tokens) - 1}")
        self.tokens.append(token)
        self.parents.append(parent)
        self.depths.append(self.depths[parent] + 1)
        self.estimates.append(estimate)
        return len(self.tokens) - 1
