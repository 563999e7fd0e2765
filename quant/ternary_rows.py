"""Ternary rows: each row of a matrix with the codes and the scale that come nearest to it."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.quant.int8 import float_rows

__all__ = ["rows_ternary"]

#: Numbers that are sorted at a time, so that a head of any size needs little memory beside it.
_CHUNK = 1 << 22


def rows_ternary(weight: ArrayLike) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Quantise a float matrix ``(rows, K)`` to codes -1, 0 and 1 with one scale for each row, at least squared error.

    Returns int8 codes ``(rows, K)`` and the float32 scale ``(rows,)`` that multiplies them. A row keeps its largest magnitudes,
    and its scale is their mean. With m of them the squared error falls by ``sum(kept)^2 / m``, so the m with the most of it is
    the best of all ternary rows. A row of zeros has the scale 0.

    Raises ``ValueError`` if the array is not a matrix, K is zero, the type is not a float type, or a value is NaN or infinite.
    """
    values, _ = float_rows(weight, "weight")
    if values.ndim != 2:
        raise ValueError(f"weight has shape {values.shape}, but must be a matrix")
    rows, columns = values.shape
    codes, scale = np.zeros((rows, columns), np.int8), np.zeros(rows, np.float32)
    kept = np.arange(1, columns + 1)
    step = max(1, _CHUNK // columns)
    for start in range(0, rows, step):
        part = values[start:start + step]
        magnitude = np.abs(part)
        falling = -np.sort(-magnitude, axis=1)
        total = np.cumsum(falling, axis=1, dtype=np.float64)
        best = np.argmax(total * total / kept, axis=1)[:, None]
        # Equal magnitudes are kept together, which is at least as good.
        keep = (magnitude >= np.take_along_axis(falling, best, axis=1)) & (magnitude > 0)
        count = keep.sum(axis=1)
        codes[start:start + step] = np.where(keep, np.sign(part), 0)
        scale[start:start + step] = np.where(keep, magnitude, 0).sum(axis=1, dtype=np.float64) / np.maximum(count, 1)
    return codes, scale
