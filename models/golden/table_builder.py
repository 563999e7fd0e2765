"""Twin of :mod:`terntable.hw.table_builder`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.hw.spec.numbers import TABLE_HIGH, TABLE_LOW
from terntable.quant.base3 import TRITS_PER_BYTE

__all__ = ["BUILD_CYCLES", "LATENCY", "build_tables"]

#: Cycles that a tile's entries take, and cycles from a tile's last word to its first entry.
BUILD_CYCLES = TABLE_LOW
LATENCY = 4

#: Trits of table entry e, lowest first.
_DIGITS = np.arange(TABLE_LOW)[:, None] // 3 ** np.arange(3) % 3 - 1


def build_tables(columns: ArrayLike) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Tables of one tile from its int8 activations ``(rows, 5 * groups)``.

    Returns ``low`` ``(27, groups, rows)`` for trits 0 to 2 of a byte and ``high`` ``(27, groups, rows)``
    for trits 3 and 4, whose entries from 9 on are zero.
    """
    values = np.asarray(columns, np.int32)
    groups = values.reshape(values.shape[0], -1, TRITS_PER_BYTE).transpose(1, 2, 0)
    low = np.einsum("ed,tdr->etr", _DIGITS, groups[:, :3])
    high = np.einsum("ed,tdr->etr", _DIGITS[:, :2], groups[:, 3:])
    high[TABLE_HIGH:] = 0
    return low.astype(np.int32), high.astype(np.int32)
