"""Twin of :mod:`terntable.hw.float_exp`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.hw.spec.float_tables import LOG2E_BITS, LOG2E_FIXED, VALUE_BITS, exp2_parabolas
from terntable.models.golden.float_bits import INVALID, from_bits, is_invalid, operand, result, to_bits
from terntable.models.golden.float_parabola import float_parabola

__all__ = ["float_exp"]

#: Fraction bits of the base-2 exponent.
_BITS = 25


def float_exp(a: ArrayLike) -> NDArray[np.float32]:
    """``e**a`` for float32 ``a``, any shape, within 0.8 units in the last place.

    Never falls where ``a`` rises; 1 at zero. Below 2**-126 it is +0, from 2**128 INVALID.
    """
    bits = to_bits(operand(a)).astype(np.int64)
    exponent = (bits >> 23) & 0xFF
    significand = np.where(exponent == 0, 0, (bits & 0x7FFFFF) | 0x800000)
    negative = bits >> 31 != 0
    huge = exponent > 133    # |a| >= 128

    # |a| * log2(e) with one bit more than is kept, rounded; |a| < 128 has its point 24 + 26 bits up.
    product = (significand * LOG2E_FIXED) >> (LOG2E_BITS + 17 - _BITS - 1)
    scaled = ((product >> np.clip(133 - exponent, 0, 63)) + 1) >> 1
    scaled = np.where(negative, -scaled, scaled)

    value = float_parabola(exp2_parabolas(), scaled & ((1 << _BITS) - 1))
    power = np.where(huge, np.where(negative, -200, 200), scaled >> _BITS)
    # Exact in float64: the 29 bits of value at a power of two far inside its range.
    answer = result(np.ldexp(value.astype(np.float64), power - VALUE_BITS))
    return np.where(is_invalid(a), from_bits(INVALID), answer)
