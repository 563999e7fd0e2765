"""Twin of :mod:`terntable.hw.scalar`: the row scalars between two vector operations.

Arguments and results are float32, of shape (rows,) where they belong to rows; `imm` and `imm2` are one
number each.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.hw.spec.numbers import ABSMAX_FLOOR
from terntable.models.golden import float32

__all__ = ["factor", "norm_scale", "quant_scale"]

Floats = NDArray[np.float32]


def norm_scale(sum: ArrayLike, imm: ArrayLike, imm2: ArrayLike) -> Floats:
    """``1 / sqrt(sum * imm + imm2)``: the scale of RMS norm, with `imm` 1 / columns and `imm2` epsilon."""
    mean = float32.add(float32.mul(sum, imm), imm2)
    return float32.div(np.float32(1), float32.sqrt(mean))


def quant_scale(amax: ArrayLike, imm: ArrayLike, f: ArrayLike) -> tuple[Floats, Floats]:
    """``(s, d)``: the scale that takes a row to integers up to `imm`, and what takes the integers to the row times `f`.

    The row's largest magnitude is `amax`; it is to be multiplied by `f`, which only the scales do. An INVALID product gives
    INVALID twice.
    """
    # Magnitudes order as their patterns, and INVALID comes out on top, as in the hardware.
    floor = float32.to_bits(np.float32(ABSMAX_FLOOR))
    a = float32.from_bits(np.maximum(float32.to_bits(float32.mul(amax, f)), floor))
    return float32.mul(float32.div(imm, a), f), float32.div(a, imm)


def factor(d: ArrayLike, imm: ArrayLike) -> Floats:
    """``d * imm``: what a partial sum is multiplied by, with `imm` the scale of the weights."""
    return float32.mul(d, imm)
