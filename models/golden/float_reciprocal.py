"""Twin of :mod:`terntable.hw.float_reciprocal`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.hw.spec.float_tables import VALUE_BITS, reciprocal_parabolas
from terntable.models.golden.float_bits import INVALID, from_bits, is_invalid, operand, result, to_bits
from terntable.models.golden.float_parabola import float_parabola

__all__ = ["float_reciprocal"]


def float_reciprocal(a: ArrayLike) -> NDArray[np.float32]:
    """``1 / a`` for float32 ``a``, any shape, within 0.65 units in the last place; zero gives INVALID.

    Exact for powers of two.
    """
    bits = to_bits(operand(a)).astype(np.int64)
    exponent = (bits >> 23) & 0xFF
    value = float_parabola(reciprocal_parabolas(), bits & 0x7FFFFF).astype(np.float64)
    signed = np.where(bits >> 31 != 0, -value, value)
    answer = result(np.ldexp(signed, 126 - exponent - VALUE_BITS))
    return np.where(is_invalid(a) | (exponent == 0), from_bits(INVALID), answer)
