"""Twin of :mod:`terntable.hw.table_builder`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.hw.spec.lookup import ENTRIES, TRITS, WALK

__all__ = ["BUILD_CYCLES", "LATENCY", "build_tables"]

#: Cycles that the entries of a part take, and cycles from a part's last word to its first entry.
BUILD_CYCLES = ENTRIES
LATENCY = 4


def build_tables(columns: ArrayLike) -> NDArray[np.int32]:
    """Tables int32 ``(14, groups, rows)`` of one tile from its int8 activations ``(rows, 3 * groups)``."""
    values = np.asarray(columns, np.int32)
    groups = values.reshape(values.shape[0], -1, TRITS)
    return np.einsum("ed,rtd->etr", np.array(WALK, np.int32), groups)
