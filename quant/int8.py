"""INT8 rows: activations as BitNet quantises them, and weight rows with one scale each."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.quant.places import first_place

__all__ = ["ABSMAX_FLOOR", "absmax_int8", "float_rows", "rows_int8"]

# BitNet's floor of a row's largest magnitude, so that a row of zeros has a finite scale.
ABSMAX_FLOOR = np.float32(1e-5)
_LEVELS = np.float32(127)


def absmax_int8(x: ArrayLike) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Quantise activations ``(..., K)`` to int8, one scale for each row of K.

    Returns int8 values ``(..., K)`` and the float32 scale ``(...)`` that *multiplied* the row, so that
    ``x ~ q / scale[..., None]``. All steps are float32, rounding half to even, as in BitNet.

    Raises ``ValueError`` if K is zero, the type is not a float type, or a value is NaN or infinite.
    """
    values, absmax = float_rows(x, "x")
    scale = _LEVELS / np.maximum(absmax, ABSMAX_FLOOR)
    quantised = np.clip(np.rint(values * scale[..., None]), -128, 127)
    return quantised.astype(np.int8), scale


def rows_int8(weight: ArrayLike) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Quantise a float matrix ``(rows, K)`` to int8 in -127..127, symmetrically, one scale for each row.

    Returns int8 values ``(rows, K)`` and the float32 scale ``(rows,)`` that *multiplies* them, so that
    ``weight ~ q * scale[:, None]``. A row of zeros gets the scale 1e-5 / 127.

    Raises ``ValueError`` if the array is not a matrix, K is zero, the type is not a float type, or a value is
    NaN or infinite.
    """
    values, absmax = float_rows(weight, "weight")
    if values.ndim != 2:
        raise ValueError(f"weight has shape {values.shape}, but must be a matrix")
    # Below the smallest normal number a scale has too few bits left to bring the row back to 127.
    scale = np.maximum(absmax / _LEVELS, np.finfo(np.float32).tiny)
    scale = np.where(absmax > 0, scale, ABSMAX_FLOOR / _LEVELS)
    quantised = np.clip(np.rint(values / scale[:, None]), -127, 127)
    return quantised.astype(np.int8), scale


def float_rows(array: ArrayLike, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the array as float32 and the largest magnitude of each row; ``ValueError`` calls it by its `name`."""
    given = np.asarray(array)
    if given.ndim == 0 or given.shape[-1] == 0:
        raise ValueError(f"{name} has shape {given.shape}, but a row needs at least one element")
    if given.dtype.kind != "f":
        raise ValueError(f"{name} is of type {given.dtype}, but must be of a float type")
    values = given.astype(np.float32, copy=False)
    absmax = np.maximum(values.max(axis=-1), -values.min(axis=-1))
    if not np.isfinite(absmax).all():
        place = first_place(~np.isfinite(values))
        raise ValueError(f"{name} holds {values[place]} at index {place}, but must be finite")
    return values, np.asarray(absmax)
