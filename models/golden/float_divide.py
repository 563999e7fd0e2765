"""Twin of :mod:`terntable.hw.float_divide`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.models.golden.float_bits import LEAST_NORMAL, from_bits, operand, result, to_bits

__all__ = ["float_divide"]


def float_divide(a: ArrayLike, b: ArrayLike) -> NDArray[np.float32]:
    """``a / b``, correctly rounded; float32 of any shapes that broadcast. Division by zero is INVALID.

    A quotient just below 2**-126 rounds up to it, so ``|a| < |b| * 2**-126``, exact in float64, says
    what to flush.
    """
    a, b = np.broadcast_arrays(operand(a), operand(b))
    with np.errstate(all="ignore"):
        quotient = result(a / b)
        below = np.abs(a).astype(np.float64) < np.abs(b).astype(np.float64) * LEAST_NORMAL
    zero = from_bits((to_bits(a) ^ to_bits(b)) & 0x80000000)
    return np.where(below, zero, quotient)
