"""Which guesses to verify and how many probes to hang on each, from how often guesses are right (Chen et al. 2024, section 4).

After a round, the accepted node has some number of probes behind it, the state; the next tree can be as deep as that, and there is
one tree for each state. A tree holds the likeliest paths of ranks. Of the rows that are left each node has at least one probe and
the root has all of them; probes are taken away from where a shallower next tree costs least. The states form a Markov chain, whose
stationary law weighs the trees against each other. Probabilities of the steps of a path are taken as independent.

The paper's builder has a state of its own for a round in which nothing was accepted; here the root is then the accepted node, and
no round counts twice. Beyond the paper, fewer slots than there are probes may be used, which is best where few rows are left.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["RANKS", "Plan", "SparseTree", "best_budget", "chain_law", "grow", "prune", "search", "static"]

#: Guesses of a probe that may become nodes.
RANKS = 10
#: Sizes of a state's tree that are tried, and rounds over the states.
SIZES, SWEEPS = 24, 4

#: Accuracies: step -> rank -> probability that the guess is right.
Accuracy = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class SparseTree:
    """Shape of a draft; every attribute has an entry for each node, the root's first.

    Attributes
    ----------
    parents : -1 for the root.
    ranks : of the guess that the node is, 0 the likeliest; -1 for the root.
    depths : distance from the root; a node of depth j is a guess of probe j.
    reach : probability that the node is accepted.
    probes : behind the node.

    """

    parents: tuple[int, ...]
    ranks: tuple[int, ...]
    depths: tuple[int, ...]
    reach: tuple[float, ...]
    probes: tuple[int, ...]

    @property
    def rows(self) -> int:
        """Nodes besides the root, and probes."""
        return len(self.parents) - 1 + sum(self.probes)

    @property
    def gain(self) -> float:
        """Expected number of accepted nodes."""
        return sum(self.reach[1:])

    @property
    def last(self) -> list[float]:
        """Probability of each node that it is the last accepted one; they add up to 1."""
        left = list(self.reach)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                left[parent] -= self.reach[node]
        return left


@dataclass(frozen=True)
class Plan:
    """Trees for all states.

    Attributes
    ----------
    trees : of states 1, 2 and so on, as many as probes are used.
    law : stationary probability of each state.

    """

    trees: tuple[SparseTree, ...]
    law: tuple[float, ...]

    @property
    def states(self) -> int:
        """Probes behind a root."""
        return len(self.trees)

    @property
    def tokens(self) -> float:
        """Expected tokens of a forward."""
        return 1 + sum(weight * tree.gain for weight, tree in zip(self.law, self.trees, strict=True))


def grow(accuracy: Accuracy, nodes: int, depth: int) -> SparseTree:
    """The `nodes` likeliest paths of at most `depth` steps, with no probes yet; fewer where no more have a positive probability."""
    parents, ranks, depths, reach = [-1], [-1], [0], [1.0]
    # No path is likelier than its beginning, so each is found after that.
    open_paths: list[tuple[float, int, int, int]] = []

    def extend(node: int) -> None:
        if depths[node] < min(depth, len(accuracy)):
            for rank, right in enumerate(accuracy[depths[node]]):
                if reach[node] * right > 0:
                    heapq.heappush(open_paths, (-reach[node] * right, depths[node] + 1, node, rank))

    extend(0)
    while open_paths and len(parents) <= nodes:
        negative, level, parent, rank = heapq.heappop(open_paths)
        parents.append(parent)
        ranks.append(rank)
        depths.append(level)
        reach.append(-negative)
        extend(len(parents) - 1)
    return SparseTree(tuple(parents), tuple(ranks), tuple(depths), tuple(reach), (0,) * len(parents))


def prune(tree: SparseTree, gains: Sequence[float], rows: int) -> SparseTree | None:
    """A tree with as many probes as fit; None if not even one for each node does.

    Parameters
    ----------
    gains : of the tree of each state, from state 0, which has none, to the last one, which is how many probes the root keeps.
    rows : most nodes besides the root and probes.

    """
    states, nodes = len(gains) - 1, len(tree.parents)
    probes, last = [states] * nodes, tree.last
    spare = nodes - 1 + states * nodes - rows
    if spare > (nodes - 1) * (states - 1):
        return None

    def cost(node: int) -> tuple[float, int]:
        return last[node] * (gains[probes[node]] - gains[probes[node] - 1]), -node

    heap = [(*cost(node), node) for node in range(1, nodes)] if states > 1 else []
    heapq.heapify(heap)
    for _ in range(spare):
        node = heapq.heappop(heap)[-1]
        probes[node] -= 1
        if probes[node] > 1:
            heapq.heappush(heap, (*cost(node), node))
    return replace(tree, probes=tuple(probes))


def chain_law(trees: Sequence[SparseTree]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Transitions (states, states) between the states of a plan, and their stationary law (states,)."""
    states = len(trees)
    moves = np.zeros((states, states))
    for row, tree in zip(moves, trees, strict=True):
        np.add.at(row, np.array(tree.probes) - 1, tree.last)
    # pi P = pi, and pi adds up to 1.
    system = np.vstack([moves.T - np.eye(states), np.ones(states)])
    law = np.linalg.lstsq(system, np.append(np.zeros(states), 1.0), rcond=None)[0]
    return moves, law


def _plan(accuracy: Accuracy, sizes: Sequence[int], rows: int) -> Plan | None:
    bare = [grow(accuracy, size, state) for state, size in enumerate(sizes, start=1)]
    gains = [0.0, *(tree.gain for tree in bare)]
    trees = [pruned for tree in bare if (pruned := prune(tree, gains, rows)) is not None]
    if len(trees) < len(bare):
        return None
    return Plan(tuple(trees), tuple(chain_law(trees)[1].tolist()))


@lru_cache(maxsize=256)
def search(accuracy: Accuracy, rows: int) -> Plan | None:
    """The plan of most expected tokens with `rows` nodes and probes besides the root; None if there is room for no node.

    Sizes of the states' trees are improved one after the other, from equal ones, for every number of slots.
    """
    best: Plan | None = None
    for states in range(1, len(accuracy) + 1):
        most = (rows - states) // 2
        if most < 1:
            break
        tried = sorted({round(size) for size in np.linspace(1, most, min(most, SIZES))})
        sizes = [max(1, (rows - states) // (states + 1))] * states
        found = _plan(accuracy, sizes, rows)
        for _ in range(SWEEPS):
            before = sizes
            for state in range(states):
                for size in tried:
                    other = [*sizes[:state], size, *sizes[state + 1:]]
                    plan = _plan(accuracy, other, rows)
                    if plan is not None and (found is None or plan.tokens > found.tokens + 1e-12):
                        found, sizes = plan, other
            if sizes == before:
                break
        if found is not None and (best is None or found.tokens > best.tokens):
            best = found
    return best


@lru_cache(maxsize=256)
def static(accuracy: Accuracy, rows: int) -> Plan | None:
    """The plan with one tree, whose every node has all probes; None if there is room for no node."""
    best: Plan | None = None
    for states in range(1, len(accuracy) + 1):
        size = (rows - states) // (states + 1)
        if size < 1:
            break
        tree = grow(accuracy, size, states)
        full = replace(tree, probes=(states,) * len(tree.parents))
        plan = Plan((full,) * states, (*(0.0,) * (states - 1), 1.0))
        if best is None or plan.tokens > best.tokens:
            best = plan
    return best


def best_budget(tokens: dict[int, float], seconds: dict[int, float]) -> int:
    """The budget of most tokens a second, by the expected tokens and the seconds of a forward; the least of equals."""
    return max(sorted(tokens), key=lambda rows: tokens[rows] / seconds[rows])
