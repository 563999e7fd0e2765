"""Float32 arithmetic exactly as the hardware does it, under short names.

Every function works on NumPy float32 arrays of any shape (two operands broadcast) and follows the number
contract of :mod:`terntable.models.golden.float_bits`. Each is defined in the twin of its hardware unit.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.models.golden.float_add import float_add as add
from terntable.models.golden.float_add import float_sub as sub
from terntable.models.golden.float_bits import INVALID, from_bits, is_invalid, operand, to_bits
from terntable.models.golden.float_divide import float_divide as div
from terntable.models.golden.float_exp import float_exp as exp
from terntable.models.golden.float_from_int import float_from_int as from_int
from terntable.models.golden.float_mul import float_mul as mul
from terntable.models.golden.float_reciprocal import float_reciprocal as reciprocal
from terntable.models.golden.float_sigmoid import float_sigmoid as sigmoid
from terntable.models.golden.float_sqrt import float_sqrt as sqrt
from terntable.models.golden.float_to_int import float_to_int as to_int

__all__ = ["INVALID", "add", "div", "exp", "from_bits", "from_int", "is_invalid",
           "maximum_magnitude", "mul", "reciprocal", "sigmoid", "sqrt", "sub", "to_bits", "to_int"]


def maximum_magnitude(a: ArrayLike, axis: int | None = None) -> NDArray[np.float32]:
    """Largest ``|a|`` along ``axis`` (of all values if None); INVALID if any value taken in is invalid.

    Without their sign bit, patterns order as integers, and INVALID lies above every number.
    """
    return from_bits((to_bits(operand(a)) & 0x7FFFFFFF).max(axis=axis))
