"""Twin of :mod:`terntable.hw.float_to_fixed`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.hw.spec.numbers import EXP_FRACTION_BITS as FRACTION_BITS
from terntable.hw.spec.numbers import EXP_INPUT_BITS
from terntable.models.golden.float_bits import is_invalid, operand

__all__ = ["LARGEST", "float_to_fixed"]

#: Largest fixed-point number, the clamp.
LARGEST = (1 << EXP_INPUT_BITS) - 1


def float_to_fixed(a: ArrayLike) -> NDArray[np.int64]:
    """``a * 2**16`` rounded to nearest even and clamped to 0..2**21-1; float32 of any shape to int64.

    Negative numbers give 0. INVALID gives the largest number, whose exponential is 0.
    """
    values = np.where(is_invalid(a), np.float32(LARGEST), operand(a)).astype(np.float64)
    return np.clip(np.rint(values * (1 << FRACTION_BITS)), 0, LARGEST).astype(np.int64)
