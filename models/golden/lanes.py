"""Twin of :mod:`terntable.hw.lanes`: the element-wise operations of the vector unit.

One function a mode. Matrices are shaped (rows, columns): float32, or int32 where they are partial sums `p` of
the ternary engine. Row scalars, and the largest magnitudes that are returned, are float32 shaped (rows,).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.hw.spec.numbers import PARTIALS
from terntable.models.golden import float32

__all__ = ["add_scaled", "dequant", "multiply", "norm", "quant", "relu2", "rope", "sumsq"]

Floats = NDArray[np.float32]


def sumsq(x: ArrayLike) -> Floats:
    """Sum of the squares of each row, (rows,), in the order of the hardware.

    Column c goes to partial sum ``c % PARTIALS``; then the upper half of the partial sums is added to the
    lower until one is left.
    """
    squares = float32.mul(x, x)
    rows, columns = squares.shape
    partial = np.zeros((rows, PARTIALS), np.float32)
    for first in range(0, columns, PARTIALS):
        part = squares[:, first:first + PARTIALS]
        partial[:, :part.shape[1]] = float32.add(partial[:, :part.shape[1]], part)
    while (half := partial.shape[1] // 2):
        partial = float32.add(partial[:, :half], partial[:, half:])
    return partial[:, 0]


def norm(x: ArrayLike, inv: ArrayLike, gamma: ArrayLike) -> tuple[Floats, Floats]:
    """``x * inv * gamma`` and the largest magnitude of each row; `inv` (rows,), `gamma` (columns,)."""
    y = float32.mul(float32.mul(x, _by_row(inv)), np.asarray(gamma))
    return y, float32.maximum_magnitude(y, axis=1)


def quant(y: ArrayLike, s: ArrayLike, bits: int) -> NDArray[np.int16]:
    """``y * s`` rounded to integers of `bits` bits, 8 or 16; `s` (rows,).

    Raises ValueError if a product is INVALID, where the hardware gives 0 and raises `invalid`.
    """
    if bits not in (8, 16):
        raise ValueError(f"bits must be 8 or 16, not {bits}")
    return float32.to_int(float32.mul(y, _by_row(s)), bits).astype(np.int16)


def dequant(p: ArrayLike, f: ArrayLike) -> tuple[Floats, Floats]:
    """``p * f`` and the largest magnitude of each row; `f` (rows,)."""
    y = _scaled(p, f)
    return y, float32.maximum_magnitude(y, axis=1)


def add_scaled(x: ArrayLike, p: ArrayLike, f: ArrayLike) -> Floats:
    """``x + p * f``; `f` (rows,)."""
    return float32.add(x, _scaled(p, f))


def relu2(p: ArrayLike, f: ArrayLike) -> Floats:
    """``max(p * f, 0) ** 2``; `f` (rows,)."""
    g = _scaled(p, f)
    g = np.where(g < 0, np.float32(0), g)
    return float32.mul(g, g)


def multiply(p: ArrayLike, f: ArrayLike, y: ArrayLike) -> Floats:
    """``p * f * y``; `f` (rows,)."""
    return float32.mul(_scaled(p, f), y)


def rope(y: ArrayLike, cos: ArrayLike, sin: ArrayLike) -> tuple[Floats, Floats]:
    """Turn each pair of adjacent columns by its angle; also the largest magnitude of each row.

    `cos` and `sin` are shaped (rows, columns / 2).
    """
    a, b = np.asarray(y)[:, 0::2], np.asarray(y)[:, 1::2]
    cos, sin = np.asarray(cos), np.asarray(sin)
    turned = np.empty_like(np.asarray(y))
    turned[:, 0::2] = float32.add(float32.mul(a, cos), float32.mul(b, np.negative(sin)))
    turned[:, 1::2] = float32.add(float32.mul(b, cos), float32.mul(a, sin))
    return turned, float32.maximum_magnitude(turned, axis=1)


def _by_row(scalars: ArrayLike) -> Floats:
    return np.asarray(scalars)[:, None]


def _scaled(p: ArrayLike, f: ArrayLike) -> Floats:
    return float32.mul(float32.from_int(p), _by_row(f))
