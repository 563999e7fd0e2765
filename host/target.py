"""What text generation needs of whatever runs the model."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Counters", "PassResult", "Target", "TokenSequence", "add_counters"]

#: Counts by name; None where a device does not count.
Counters = dict[str, int | None]


def add_counters(a: Counters, b: Counters) -> Counters:
    """Sum by name; what one side does not count is None, and an empty side is zero."""
    if not a or not b:
        return dict(a or b)
    total: Counters = {}
    for name in a:
        left, right = a[name], b.get(name)
        total[name] = None if left is None or right is None else left + right
    return total


@dataclass(frozen=True, eq=False)
class PassResult:
    """What a pass, or the passes of a prefill, gave for the rows that asked.

    Attributes
    ----------
    best : token of the largest logit of each row, the lowest one of equals, int64 (rows,).
    top : `terntable.hw.spec.program.RESULT` records (rows, k), best first; None where a device has no top-k.
    logits : float32 (rows, vocab), or None when they were not asked for.
    counters : of all passes; `passes` is their number.

    """

    best: NDArray[np.int64]
    top: NDArray | None = None
    logits: NDArray[np.float32] | None = None
    counters: Counters = field(default_factory=dict)


class TokenSequence(Protocol):
    """Tokens in the cache of whatever runs the model."""

    @property
    def length(self) -> int:
        """Committed tokens."""

    @property
    def context(self) -> int:
        """Most tokens that the sequence can hold."""

    @property
    def vocab(self) -> int:
        """Number of tokens."""

    def rollback(self, length: int) -> None:
        """Forget all but the first `length` tokens."""


class Target(TokenSequence, Protocol):
    """A sequence on a device: tokens go in, results for the next token come out."""

    def prefill(self, tokens: ArrayLike, *, logits: bool = False) -> PassResult:
        """Run and commit tokens; the result has one row, for the token after them."""

    def decode(self, token: int, *, logits: bool = False) -> PassResult:
        """Run and commit one token; the result has one row."""
