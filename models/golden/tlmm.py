"""Twin of :mod:`terntable.hw.tlmm`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.hw.spec.layout import FRAME_CELLS
from terntable.hw.spec.lookup import build_parts
from terntable.models.golden.lookup_array import latency
from terntable.models.golden.table_builder import BUILD_CYCLES
from terntable.models.golden.trit_gear import LATENCY as GEAR_LATENCY
from terntable.quant.beats import BeatGeometry

__all__ = ["TURNAROUND", "cycles", "ternary_matmul"]

#: Float32 holds every integer up to here, so that its sums of int8 activations are exact below.
_EXACT = 1 << 24
_CHUNK = _EXACT // 128

#: Cycles between two cells of the same outputs.
TURNAROUND = 3

#: Cycles from the command to the first word of columns, and from a cell's lookup sums to its place at the output.
_FIRST_WORD = 3
_TO_OFFER = 3


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


def cycles(inputs: int, outputs: int, geometry: BeatGeometry, lanes: int) -> int:
    """Cycles from an accepted command to the first one without ``busy`` when columns, words and places are always there.

    ``lanes`` is the number of columns that are read in a cycle. A part's columns are collected while the part before is being
    built, and a tile's tables are built while the tile before is multiplied.
    """
    parts = build_parts(groups=geometry.groups, lanes=lanes, cells=geometry.block_outputs // geometry.outputs)
    words = geometry.tile_inputs // parts // lanes
    # In which cycle the part to be built next is whole, the part before was begun, and the tile before and the one before that
    # had their last cell; cycles that the next tile must wait besides.
    whole, begun = _FIRST_WORD + words, -BUILD_CYCLES
    last, older, hold = 0, 0, 0
    for block in geometry.blocks(outputs):
        count = block // geometry.outputs
        for _ in range(geometry.tiles(inputs)):
            for part in range(parts):
                # The bank is that of the tile before the one before.
                begun = max(whole, begun + BUILD_CYCLES, older + 1 if part == 0 else 0)
                whole = begun + words
            first = max(begun + BUILD_CYCLES + 1, last + 1 + hold)
            older, last = last, first + count - 1
            hold = max(0, TURNAROUND - count)
    empty = -geometry.cells(outputs, inputs) % FRAME_CELLS
    # The sums pass through adder and queue; that no word comes any more is known two cycles after the last empty cell.
    return max(last + GEAR_LATENCY + latency(geometry.groups) + _TO_OFFER, last + empty + 3)
