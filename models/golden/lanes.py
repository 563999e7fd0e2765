"""Twin of :mod:`terntable.hw.lanes`: the element-wise operations of the vector unit.

One function a mode. Matrices are shaped (rows, columns): float32, or int32 where they are partial sums `p` of
the ternary engine. Row scalars, and the largest magnitudes that are returned, are float32 shaped (rows,).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.hw.spec.numbers import PARTIALS
from terntable.models.golden import float32
from terntable.models.golden.float_sigmoid import float_sigmoid

__all__ = ["add_scaled", "convert", "glu", "norm", "quant", "rope"]

Floats = NDArray[np.float32]


def norm(x: ArrayLike, gamma: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """``x * gamma``, the largest magnitude of each row, and the sum of the squares of each row's x; `gamma` (columns,).

    The sum is taken in the order of the hardware: column c goes to partial sum ``c % PARTIALS``; then the upper half of the
    partial sums is added to the lower until one is left.
    """
    squares = float32.mul(x, x)
    rows, columns = squares.shape
    partial = np.zeros((rows, PARTIALS), np.float32)
    for first in range(0, columns, PARTIALS):
        part = squares[:, first:first + PARTIALS]
        partial[:, :part.shape[1]] = float32.add(partial[:, :part.shape[1]], part)
    while (half := partial.shape[1] // 2):
        partial = float32.add(partial[:, :half], partial[:, half:])
    y = float32.mul(x, np.asarray(gamma))
    return y, float32.maximum_magnitude(y, axis=1), partial[:, 0]


def quant(y: ArrayLike, s: ArrayLike, bits: int) -> NDArray[np.int16]:
    """``y * s`` rounded to integers of `bits` bits, 8 or 16; `s` (rows,).

    Raises ValueError if a product is INVALID, where the hardware gives 0 and raises `invalid`.
    """
    if bits not in (8, 16):
        raise ValueError(f"bits must be 8 or 16, not {bits}")
    return float32.to_int(float32.mul(y, _by_row(s)), bits).astype(np.int16)


def convert(p: ArrayLike) -> tuple[Floats, Floats]:
    """`p` as float32, and the largest magnitude of each row."""
    y = float32.from_int(p)
    return y, float32.maximum_magnitude(y, axis=1)


def rope(p: ArrayLike, cos: ArrayLike, sin: ArrayLike) -> tuple[Floats, Floats]:
    """Turn each pair of adjacent columns by its angle; also the largest magnitude of each row.

    `cos` and `sin` are shaped (rows, columns / 2).
    """
    y = float32.from_int(p)
    a, b = y[:, 0::2], y[:, 1::2]
    cos, sin = np.asarray(cos), np.asarray(sin)
    turned = np.empty_like(y)
    turned[:, 0::2] = float32.add(float32.mul(a, cos), float32.mul(b, np.negative(sin)))
    turned[:, 1::2] = float32.add(float32.mul(b, cos), float32.mul(a, sin))
    return turned, float32.maximum_magnitude(turned, axis=1)


def add_scaled(x: ArrayLike, p: ArrayLike, f: ArrayLike) -> Floats:
    """``x + p * f``; `f` (rows,)."""
    return float32.add(x, _scaled(p, f))


def glu(pg: ArrayLike, pu: ArrayLike, f: ArrayLike, f2: ArrayLike, act: str) -> Floats:
    """``act(pg * f) * (pu * f2)``; `f` and `f2` (rows,); `act` is relu2, the square of what is above 0, or silu."""
    g, u = _scaled(pg, f), _scaled(pu, f2)
    if act == "relu2":
        above = np.where(float32.is_invalid(g) | (g > 0), g, np.float32(0))
        h = float32.mul(above, above)
    elif act == "silu":
        h = float32.mul(g, float_sigmoid(g))
    else:
        raise ValueError(f"act must be relu2 or silu, not {act!r}")
    return float32.mul(h, u)


def _by_row(scalars: ArrayLike) -> Floats:
    return np.asarray(scalars)[:, None]


def _scaled(p: ArrayLike, f: ArrayLike) -> Floats:
    return float32.mul(float32.from_int(p), _by_row(f))
