"""How large a draft may be in each round."""

from typing import Protocol

from terntable.host.decoding.drafter import Budget, Outcome
from terntable.host.decoding.ledger import Ledger
from terntable.host.decoding.tree import DraftTree

__all__ = ["Constant", "Controller"]


class Controller(Protocol):
    """Sets the limits of a draft before it is made, and may cut it afterwards."""

    def plan(self, limits: Budget) -> Budget:
        """What the drafter is given of what the target has room for."""

    def cut(self, tree: DraftTree, budget: Budget) -> DraftTree:
        """The part of a draft that is verified."""

    def observe(self, outcome: Outcome, ledger: Ledger) -> None:
        """Learn from a round."""


class Constant:
    """The same limits in each round; without any, what the target has room for."""

    def __init__(self, nodes: int | None = None, depth: int | None = None) -> None:
        self.nodes, self.depth = nodes, depth

    def plan(self, limits: Budget) -> Budget:
        """The lesser of both limits."""
        return Budget(limits.nodes if self.nodes is None else min(self.nodes, limits.nodes),
                      limits.depth if self.depth is None else min(self.depth, limits.depth))

    def cut(self, tree: DraftTree, budget: Budget) -> DraftTree:
        """The tree as it is."""
        return tree

    def observe(self, outcome: Outcome, ledger: Ledger) -> None:
        """Nothing to learn."""
