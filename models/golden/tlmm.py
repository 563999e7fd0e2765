"""Twin of :mod:`terntable.hw.tlmm`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.models.golden.lookup_array import latency
from terntable.models.golden.table_builder import BUILD_CYCLES, LATENCY
from terntable.quant.beats import BeatGeometry

__all__ = ["cycles", "ternary_matmul"]

#: Float32 holds every integer up to here, so that its sums of int8 activations are exact below.
_EXACT = 1 << 24
_CHUNK = _EXACT // 128

#: Cycles between two beats of the same outputs.
_TURNAROUND = 3


def ternary_matmul(act: ArrayLike, codes: ArrayLike) -> NDArray[np.int32]:
    """Exact product int32 ``(M, N)`` of int8 activations ``(M, K)`` and ternary codes ``(N, K)``.

    Raises ``ValueError`` if the shapes do not fit. Float32 products are fast and, K by K in chunks, exact.
    ``codes`` may be float32 already, which saves the conversion.
    """
    a, w = np.asarray(act), np.asarray(codes)
    if a.ndim != 2 or w.ndim != 2 or a.shape[1] != w.shape[1]:
        raise ValueError(f"act has shape {a.shape} and codes {w.shape}, but must be (M, K) and (N, K)")
    total = np.zeros((a.shape[0], w.shape[0]), np.int32)
    for k in range(0, a.shape[1], _CHUNK):
        part = a[:, k:k + _CHUNK].astype(np.float32) @ w[:, k:k + _CHUNK].astype(np.float32, copy=False).T
        total += part.astype(np.int32)
    return total


def cycles(inputs: int, outputs: int, geometry: BeatGeometry) -> int:
    """Cycles from an accepted command to ``done`` when columns and beats are always there.

    ``geometry.outputs`` is the number of lanes. A tile's columns are collected while the tile before is being
    built, and its tables are built while the tile before is multiplied.
    """
    words, groups = geometry.inputs // geometry.outputs, geometry.row_groups(outputs)
    # In which cycle the tile before had its last column, was moved to the builder, had its last entry
    # written, met its first and its last beat; `older` is the last beat of the tile before that.
    moved, written = 0, 0
    first, last, older = -_TURNAROUND, 0, 0
    for _ in range(geometry.tiles(inputs)):
        collected = moved + words
        moved = max(collected + 1, written - 2)
        entry = max(moved + LATENCY - 1, written + 1, older + 1)
        written = entry + BUILD_CYCLES - 1
        first = max(written + 1, last + 1, first + _TURNAROUND)
        older, last = last, first + groups - 1
    # Decoding, lookup, adding, writing.
    return last + 1 + latency(geometry.groups) + 2
