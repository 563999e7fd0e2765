"""Twin of :mod:`terntable.hw.half_to_float`."""

import numpy as np
from numpy.typing import NDArray

from terntable.hw.spec.numbers import INVALID

__all__ = ["half_to_float"]


def half_to_float(values: NDArray[np.float16]) -> NDArray[np.float32]:
    """FP16 to binary32, exact for every finite value; NaN and infinity become INVALID."""
    half = np.asarray(values, np.float16)
    wide = half.astype(np.float32)
    return np.where(np.isfinite(half), wide, np.array(INVALID, np.uint32).view(np.float32))
