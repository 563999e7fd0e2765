"""Twin of :mod:`terntable.hw.float_mul`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.models.golden.float_bits import operand, result

__all__ = ["float_mul"]


def float_mul(a: ArrayLike, b: ArrayLike) -> NDArray[np.float32]:
    """``a * b``, correctly rounded; float32 of any shapes that broadcast.

    A product of two 24-bit significands is exact in float64, so it is rounded once.
    """
    with np.errstate(all="ignore"):
        return result(operand(a).astype(np.float64) * operand(b).astype(np.float64))
