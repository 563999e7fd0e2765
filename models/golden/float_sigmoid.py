"""Twin of :mod:`terntable.hw.float_sigmoid`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.models.golden.float_add import float_add
from terntable.models.golden.float_bits import from_bits, operand, to_bits
from terntable.models.golden.float_exp import float_exp
from terntable.models.golden.float_reciprocal import float_reciprocal

__all__ = ["float_sigmoid"]

#: Beyond this the result is 0 or 1 anyway, and the exponential would overflow.
LIMIT = np.float32(88)


def float_sigmoid(a: ArrayLike) -> NDArray[np.float32]:
    """``1 / (1 + e**-a)`` for float32 ``a``, any shape, within 2.75 units in the last place.

    ``a`` is first clamped to -88..88, so that large values give 0 and 1 and only INVALID gives INVALID.
    """
    a = operand(a)
    bits = to_bits(a)
    beyond = np.abs(a) > LIMIT    # false for INVALID
    clamped = np.where(beyond, to_bits(LIMIT) | (bits & 0x80000000), bits)
    return float_reciprocal(float_add(np.float32(1), float_exp(from_bits(clamped ^ 0x80000000))))
