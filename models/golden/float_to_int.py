"""Twin of :mod:`terntable.hw.float_to_int`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.hw.spec.numbers import ACC_BITS
from terntable.models.golden.float_bits import is_invalid, operand

__all__ = ["float_to_int"]


def float_to_int(a: ArrayLike, bits: int) -> NDArray[np.int64]:
    """The integers nearest to float32 ``a`` (any shape), ties to even, clamped to ``bits`` bits.

    Returns int64 in -2**(bits-1) .. 2**(bits-1)-1. Raises ValueError if any value is INVALID, where the
    hardware gives 0 and raises its ``invalid`` output.
    """
    if not 2 <= bits <= ACC_BITS:
        raise ValueError(f"bits must be 2..{ACC_BITS}, not {bits}")
    if is_invalid(a).any():
        raise ValueError("A NaN or an infinity has no integer value")
    limit = 1 << (bits - 1)
    return np.clip(np.rint(operand(a).astype(np.float64)), -limit, limit - 1).astype(np.int64)
