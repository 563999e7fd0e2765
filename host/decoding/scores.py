"""What a target says about the nodes of a tree; laws are made only where one is asked for."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terntable.host.decoding.law import TokenLaw
from terntable.host.sampling import Sampling, token_law
from terntable.host.target import Counters

__all__ = ["Scores"]


class Scores:
    """Results of a pass for every node of a tree, probes included.

    Parameters
    ----------
    best : token of the largest logit of each node, the lowest one of equals.
    logits : floating-point (nodes, vocab), None if they were not asked for.
    hidden : layer -> states of all rows of the pass (rows, width), those of the prefix first, as the target holds them.
    counters : of the passes.
    top : gives the likeliest tokens of a node, best first, as many as are wanted or the target has; without it, logits do.

    """

    def __init__(self, best: list[int], logits: NDArray[np.floating] | None, *,
                 hidden: Mapping[int, Any] | None = None, counters: Counters | None = None,
                 top: Callable[[int, int], list[int]] | None = None) -> None:
        self.best, self.counters = best, counters or {}
        self.hidden: Mapping[int, Any] = hidden or {}
        self._logits, self._top = logits, top
        self._laws: dict[tuple[int, Sampling], TokenLaw] = {}

    @property
    def logits(self) -> NDArray[np.floating]:
        """Logits of all nodes."""
        if self._logits is None:
            raise ValueError("The pass was asked for best tokens only, not for logits")
        return self._logits

    def law(self, node: int, sampling: Sampling) -> TokenLaw:
        """The law of the token after a node."""
        kept = self._laws.get((node, sampling))
        if kept is None:
            kept = self._laws[node, sampling] = TokenLaw(token_law(self.logits[node], sampling))
        return kept

    def top(self, node: int, count: int) -> list[int]:
        """The likeliest tokens of a node, best first; at most `count`, and fewer where the target keeps fewer."""
        if self._top is not None:
            return self._top(node, count)
        return [int(token) for token in np.argsort(-self.logits[node], kind="stable")[:count]]
