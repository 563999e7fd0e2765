"""Twin of :mod:`terntable.hw.lookup_array`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["latency", "lookup"]


def lookup(table: ArrayLike, address: ArrayLike, negate: ArrayLike) -> NDArray[np.int32]:
    """Sums int32 ``(cells, outputs, rows)`` of the table entries that each cell picks, negated where it says so.

    ``table`` is ``(entries, groups, rows)``; ``address`` and ``negate`` are ``(cells, outputs * groups)``, lookup
    ``output * groups + group``.
    """
    tables = np.asarray(table, np.int32)
    groups = tables.shape[1]
    places = np.asarray(address).reshape(len(np.asarray(address)), -1, groups)
    signs = 1 - 2 * np.asarray(negate, np.int32).reshape(places.shape)
    return (tables[places, np.arange(groups)] * signs[..., None]).sum(axis=2, dtype=np.int32)


def latency(groups: int) -> int:
    """Cycles from a cell to its sums: one for the tables, one for every two levels of the adder tree."""
    levels = (groups - 1).bit_length()
    return 1 + -(-levels // 2)
