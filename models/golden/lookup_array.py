"""Twin of :mod:`terntable.hw.lookup_array`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["latency", "lookup"]


def lookup(low_table: ArrayLike, high_table: ArrayLike, low: ArrayLike, high: ArrayLike) -> NDArray[np.int32]:
    """Sums int32 ``(beats, lanes, rows)`` of the table entries that each beat picks.

    ``low_table`` and ``high_table`` are ``(entries, groups, rows)``; ``low`` and ``high``
    ``(beats, lanes * groups)`` are table addresses, byte ``lane * groups + group``.
    """
    lows, highs = np.asarray(low_table, np.int32), np.asarray(high_table, np.int32)
    groups = lows.shape[1]
    place = np.arange(groups)
    a = np.asarray(low).reshape(len(np.asarray(low)), -1, groups)
    b = np.asarray(high).reshape(a.shape)
    return (lows[a, place] + highs[b, place]).sum(axis=2, dtype=np.int32)


def latency(groups: int) -> int:
    """Cycles from a beat to its sums: one for the tables, one for each fourfold step of the adder tree."""
    cycles, terms = 1, 2 * groups
    while terms > 1:
        cycles, terms = cycles + 1, -(-terms // 4)
    return cycles
