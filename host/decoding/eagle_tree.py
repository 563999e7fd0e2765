"""The dynamic draft tree of EAGLE-2 (Li et al. 2024, arXiv 2406.16858, section 4).

The root gets the `width` likeliest tokens as children. At each further level the `width` nodes of the last level that have the
greatest cumulative log-probability get as many children each. After `depth` levels of tokens all nodes that were made are ranked
by cumulative log-probability, of equals the shallower first, and the best `nodes` stay. Since no node is likelier than its parent,
what stays is a tree. `depth` counts levels of tokens, the root's children being the first, and `nodes` those besides the root.

A node that is not among the best `nodes` at any time can have no child that stays in the end. Such nodes are not expanded, which
changes nothing in the result and saves forwards where the budget is small.
"""

from collections.abc import Callable, Sequence
from math import exp

from terntable.host.decoding.tree import DraftTree

__all__ = ["DEPTH", "NODES", "WIDTH", "Expand", "dynamic_tree"]

#: Children of a node and nodes of a level that get some; levels; nodes that stay.
WIDTH, DEPTH, NODES = 10, 7, 60

#: Gives for nodes of a tree, all of one level, the likeliest next tokens of each, likeliest first, with log-probabilities.
Expand = Callable[[DraftTree, Sequence[int]], Sequence[Sequence[tuple[int, float]]]]


def dynamic_tree(root: int, expand: Expand, *, width: int = WIDTH, depth: int = DEPTH, nodes: int = NODES) -> DraftTree:
    """The tree below a root token; `expand` is called once a level."""
    grown, reach, frontier = DraftTree(root), [0.0], [0]
    for level in range(depth if nodes > 0 else 0):
        fresh: list[int] = []
        for node, choices in zip(frontier, expand(grown, frontier), strict=True):
            for token, log in choices[:width]:
                fresh.append(grown.add(node, token, exp(min(log, 0.0))))
                reach.append(reach[node] + min(log, 0.0))
        # The sort is stable, and deeper nodes are the later ones.
        best = set(sorted(range(1, len(grown)), key=lambda node: -reach[node])[:nodes])
        frontier = [node for node in sorted(fresh, key=lambda node: -reach[node])[:width] if node in best]
        if not frontier or level == depth - 1:
            break
    return grown.best(1 + max(nodes, 0), reach)
