"""Twin of :mod:`terntable.hw.float_add`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.models.golden.float_bits import operand, result

__all__ = ["float_add", "float_sub"]


def float_add(a: ArrayLike, b: ArrayLike) -> NDArray[np.float32]:
    """``a + b``, correctly rounded; float32 of any shapes that broadcast.

    Sums below 2**-126 are exact in float32, so the native sum says which ones to flush. ``x - x`` is +0.
    """
    with np.errstate(all="ignore"):
        return result(operand(a) + operand(b))


def float_sub(a: ArrayLike, b: ArrayLike) -> NDArray[np.float32]:
    """``a - b``, correctly rounded; float32 of any shapes that broadcast."""
    with np.errstate(all="ignore"):
        return result(operand(a) - operand(b))
