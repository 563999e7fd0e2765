"""Twin of :mod:`terntable.hw.float_inverse_sqrt`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.models.golden.float_divide import float_divide
from terntable.models.golden.float_sqrt import float_sqrt

__all__ = ["float_inverse_sqrt"]


def float_inverse_sqrt(a: ArrayLike) -> NDArray[np.float32]:
    """``1 / sqrt(a)`` for float32 ``a``, any shape: the root is rounded, then the quotient.

    Within 1.5 units in the last place of the exact value. Zero of either sign and negative numbers
    give INVALID.
    """
    return float_divide(np.float32(1), float_sqrt(a))
