"""Twin of :mod:`terntable.hw.base3`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.hw.spec.numbers import TABLE_LOW
from terntable.quant.base3 import LEGAL_BYTES

__all__ = ["split_bytes"]


def split_bytes(beats: ArrayLike) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
    """``(low, high, illegal)`` of beats of uint8 bytes ``(..., bytes)``: ``byte = low + 27 * high``.

    ``low`` and ``high`` have the shape of ``beats``; ``illegal`` ``(...)`` is true where any byte of the
    beat is 243 or more.
    """
    values = np.asarray(beats, np.uint8)
    high, low = np.divmod(values, np.uint8(TABLE_LOW))
    return low, high, (values >= LEGAL_BYTES).any(axis=-1)
