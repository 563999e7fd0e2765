"""Ternary weights: codes -1, 0 and 1 with one scale for the whole matrix (BitNet b1.58)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.quant.places import first_place

__all__ = ["ABSMEAN_FLOOR", "absmean_ternary", "check_ternary"]

# BitNet's floor of the mean, so that a matrix of zeros has a finite reciprocal scale.
ABSMEAN_FLOOR = np.float32(1e-5)


def absmean_ternary(weight: ArrayLike) -> tuple[NDArray[np.int8], np.float32]:
    """Quantise a float matrix to ternary codes by its mean magnitude.

    ``weight`` is a float array ``(out, in)``, read as float32. Returns int8 codes of the same shape and the
    float32 scale that multiplies them, so that ``weight ~ codes * scale``. The mean is summed in float64
    and rounded once; the rest repeats the float32 steps of BitNet's own quantiser, which multiplies by
    the reciprocal: a division would round other products to a half.

    Raises ``ValueError`` if the array is empty, not a matrix, not of floats, or holds NaN or infinity.
    """
    given = np.asarray(weight)
    if given.ndim != 2 or given.size == 0:
        raise ValueError(f"weight has shape {given.shape}, but must be a matrix with at least one element")
    if given.dtype.kind != "f":
        raise ValueError(f"weight is of type {given.dtype}, but must be of a float type")
    values = given.astype(np.float32, copy=False)
    # The sum is finite exactly if every weight is: float64 holds any sum of float32 magnitudes.
    mean = np.mean(np.abs(values), dtype=np.float64)
    if not np.isfinite(mean):
        place = first_place(~np.isfinite(values))
        raise ValueError(f"weight holds {values[place]} at index {place}, but must be finite")
    scale = max(np.float32(mean), ABSMEAN_FLOOR)
    scaled = values * (np.float32(1.0) / scale)
    codes = np.clip(np.rint(scaled, out=scaled), -1, 1, out=scaled).astype(np.int8)
    return codes, scale


def check_ternary(codes: ArrayLike, name: str) -> None:
    """Raise ``ValueError`` unless ``codes`` (any shape) are integers -1, 0 or 1.

    The sentence gives ``name``, the first wrong value in C order and its index.
    """
    values = np.asarray(codes)
    if values.dtype.kind not in "iu":
        raise ValueError(f"{name} is of type {values.dtype}, but must be of an integer type")
    # The extremes are cheap to find; the place of a wrong value is looked for only when there is one.
    if values.size and (values.min() < -1 or values.max() > 1):
        place = first_place((values < -1) | (values > 1))
        raise ValueError(f"{name} holds {values[place]} at index {place}, but a trit is -1, 0 or 1")
