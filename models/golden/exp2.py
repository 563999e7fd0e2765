"""Twin of :mod:`terntable.hw.exp2`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.hw.spec.exp2 import EXTRA_BITS, SEGMENT_BITS, exp2_table
from terntable.hw.spec.numbers import EXP_FRACTION_BITS, EXP_INPUT_BITS

__all__ = ["exp2_negative"]

_POINT, _FALL = np.array(exp2_table(), dtype=np.int64).T


def exp2_negative(x: ArrayLike) -> NDArray[np.int64]:
    """About ``2**16 * 2**(-x / 2**16)`` for integers 0 <= x < 2**21, any shape.

    Returns int64 in 0..2**16: exactly 2**16 at 0, never rising, within 0.6 of the exact value.
    """
    x = np.asarray(x).astype(np.int64)
    if x.size and (x.min() < 0 or x.max() >> EXP_INPUT_BITS):
        raise ValueError(f"x must be 0..{(1 << EXP_INPUT_BITS) - 1}, not {x.min()}..{x.max()}")
    place_bits = EXP_FRACTION_BITS - SEGMENT_BITS
    place = x & ((1 << place_bits) - 1)
    segment = (x >> place_bits) & ((1 << SEGMENT_BITS) - 1)
    line = _POINT[segment] - ((_FALL[segment] * place) >> place_bits)
    shift = EXTRA_BITS + (x >> EXP_FRACTION_BITS)
    return (line + (np.int64(1) << (shift - 1))) >> shift
