"""Float32 arithmetic one number at a time, in Python's own binary64: the reference for vectorised twins.

A sum, product, quotient or root of binary32 numbers that is rounded to binary64, then to binary32, is
correctly rounded.
"""

import struct

__all__ = ["clamped_round", "f32"]


def f32(value: float) -> float:
    """The binary32 number nearest to `value`; below 2**-126 zero. OverflowError above the largest number."""
    nearest = struct.unpack("<f", struct.pack("<f", value))[0]
    return nearest if abs(value) >= 2.0**-126 else value * 0.0


def clamped_round(value: float, bits: int) -> int:
    """The integer of `bits` bits nearest to `value`, ties to even."""
    return max(-(1 << bits - 1), min((1 << bits - 1) - 1, round(value)))
