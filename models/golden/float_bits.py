"""The number contract of every float32 unit: which operands count as zero, which results are invalid.

Twin of the helpers of :mod:`terntable.hw.float_bits`. Numbers are IEEE binary32 patterns, rounded to
nearest even, with two simplifications that keep the hardware small:

- a subnormal operand counts as zero of its sign, and a result whose exact value (before rounding) is
  below 2**-126 in magnitude becomes zero of its sign;
- there are no infinities: a NaN or infinite operand and any overflow give the one pattern :data:`INVALID`.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.hw.spec.numbers import INVALID

__all__ = ["INVALID", "LEAST_NORMAL", "from_bits", "is_invalid", "operand", "result", "to_bits"]

#: Bits of the sign and of the exponent.
SIGN, EXPONENT = np.uint32(0x80000000), np.uint32(0x7F800000)
#: Smallest magnitude other than zero.
LEAST_NORMAL = 2.0**-126


def from_bits(bits: ArrayLike) -> NDArray[np.float32]:
    """Patterns (any integer type, values 0..2**32-1) as float32, same shape."""
    return np.ascontiguousarray(np.asarray(bits).astype(np.uint32)).view(np.float32).reshape(np.shape(bits))


def to_bits(a: ArrayLike) -> NDArray[np.uint32]:
    """The uint32 patterns of float32 values, same shape."""
    return np.ascontiguousarray(np.asarray(a, dtype=np.float32)).view(np.uint32).reshape(np.shape(a))


def is_invalid(a: ArrayLike) -> NDArray[np.bool_]:
    """True where the exponent is 255: a NaN or an infinity."""
    return (to_bits(a) & 0x7F800000) == 0x7F800000


def operand(a: ArrayLike) -> NDArray[np.float32]:
    """Values as a unit sees them: subnormals become zero of their sign, exponent 255 becomes INVALID."""
    a = np.asarray(a)
    if a.dtype != np.float32:
        raise ValueError(f"Operands must be float32, not {a.dtype}")
    bits = a.view(np.uint32)
    exponent = bits & EXPONENT
    # Most arrays hold normal numbers and zeros only, which stay as they are.
    if exponent.size and exponent.max() < EXPONENT and not ((exponent == 0) & (bits & ~SIGN != 0)).any():
        return a
    bits = np.where(exponent == 0, bits & SIGN, bits)
    return from_bits(np.where(exponent == EXPONENT, INVALID, bits))


def result(value: ArrayLike, *, exact_below: ArrayLike | None = None) -> NDArray[np.float32]:
    """Round ``value`` to float32 under the contract.

    Parameters
    ----------
    value : float32 or float64, any shape
        The result; rounding it to float32 must not be a second rounding.
    exact_below : bool, same shape
        Where the exact result is below 2**-126 in magnitude. Left out, ``value`` itself decides,
        which is right when it is exact there.

    """
    value = np.asarray(value)
    below = np.abs(value) < LEAST_NORMAL if exact_below is None else np.asarray(exact_below)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        rounded = value.astype(np.float32)
    bits = np.asarray(rounded).view(np.uint32)
    magnitude = bits & ~SIGN
    if magnitude.size and magnitude.max() < EXPONENT and not (below & (magnitude != 0)).any():
        return np.asarray(rounded)
    bits = np.where(below, bits & SIGN, bits)
    return from_bits(np.where((bits & EXPONENT) == EXPONENT, INVALID, bits))
