"""Twin of :mod:`terntable.hw.float_sqrt`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.models.golden.float_bits import operand, result

__all__ = ["float_sqrt"]


def float_sqrt(a: ArrayLike) -> NDArray[np.float32]:
    """Square root of float32 ``a``, any shape, correctly rounded.

    The root of -0 is -0; of any other negative number, INVALID. No root of a normal number is subnormal.
    """
    with np.errstate(all="ignore"):
        return result(np.sqrt(operand(a)))
