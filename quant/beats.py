"""The engine's beat order: a ternary matrix as the sequence of memory beats that the engine consumes.

A beat feeds ``outputs`` rows with ``inputs`` columns each. The matrix is cut into tiles of ``inputs``
columns; the tiles follow one another, and inside a tile there is one beat for each group of ``outputs``
consecutive rows. In a beat, byte ``r * groups + t`` holds columns ``5t .. 5t + 4`` of the tile for row ``r``
of the group.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.quant.base3 import TRITS_PER_BYTE, pack_bytes, unpack_bytes
from terntable.quant.ternary import check_ternary

__all__ = ["BeatGeometry", "Padding", "pack_matrix", "unpack_matrix"]


@dataclass(frozen=True)
class BeatGeometry:
    """Shape of a beat: ``beat_bytes`` bytes shared evenly among ``outputs`` output rows.

    Raises ``ValueError`` unless both are positive and ``beat_bytes`` is a multiple of ``outputs``.
    """

    beat_bytes: int
    outputs: int

    def __post_init__(self) -> None:
        """Refuse a geometry whose rows would share a byte."""
        if self.outputs < 1:
            raise ValueError(f"outputs is {self.outputs}, but must be at least 1")
        if self.beat_bytes < 1 or self.beat_bytes % self.outputs:
            raise ValueError(f"beat_bytes is {self.beat_bytes}, "
                             f"but must be a positive multiple of outputs, {self.outputs}")

    @property
    def groups(self) -> int:
        """Bytes for each output row in one beat."""
        return self.beat_bytes // self.outputs

    @property
    def inputs(self) -> int:
        """Input columns of one tile."""
        return TRITS_PER_BYTE * self.groups

    def tiles(self, columns: int) -> int:
        """Tiles that ``columns`` input columns fill, the last one perhaps in part."""
        return -(-columns // self.inputs)

    def row_groups(self, rows: int) -> int:
        """Beats in one tile of a matrix of ``rows`` output rows."""
        return -(-rows // self.outputs)


@dataclass(frozen=True)
class Padding:
    """What a packed matrix stores: ``weights`` true trits among ``stored`` trits."""

    weights: int
    stored: int

    @property
    def share(self) -> float:
        """Share of the stored trits that are padding, 0 to 1."""
        return (self.stored - self.weights) / self.stored


def pack_matrix(codes: ArrayLike, geometry: BeatGeometry) -> tuple[NDArray[np.uint8], Padding]:
    """Pack ternary codes ``(N, K)`` into uint8 beats ``(tiles * ceil(N / outputs), beat_bytes)``.

    Rows and columns that fill up the last beat and tile are zero trits. Raises ``ValueError`` if ``codes`` is
    not a matrix with at least one element or holds anything but -1, 0 and 1.
    """
    values = np.asarray(codes)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"codes have shape {values.shape}, but must be a matrix with at least one element")
    check_ternary(values, "codes")
    rows, columns = values.shape
    tiles, row_groups = geometry.tiles(columns), geometry.row_groups(rows)
    padded = np.zeros((row_groups * geometry.outputs, tiles * geometry.inputs), np.int8)
    padded[:rows, :columns] = values
    ordered = padded.reshape(row_groups, geometry.outputs, tiles, geometry.inputs).transpose(2, 0, 1, 3)
    beats = pack_bytes(ordered.reshape(tiles * row_groups, geometry.outputs * geometry.inputs))
    return beats, Padding(weights=values.size, stored=padded.size)


def unpack_matrix(beats: ArrayLike, rows: int, columns: int, geometry: BeatGeometry) -> NDArray[np.int8]:
    """Undo :func:`pack_matrix`: int8 codes ``(rows, columns)`` from uint8 beats.

    Raises ``ValueError`` if the sizes are not positive, the beats have another shape than that matrix takes,
    a byte is illegal, or a padding trit is not zero.
    """
    if rows < 1 or columns < 1:
        raise ValueError(f"the matrix has {rows} rows and {columns} columns, but needs at least 1 of each")
    tiles, row_groups = geometry.tiles(columns), geometry.row_groups(rows)
    packed = np.asarray(beats)
    expected = (tiles * row_groups, geometry.beat_bytes)
    if packed.shape != expected:
        raise ValueError(f"beats have shape {packed.shape}, but {rows} x {columns} codes take {expected}")
    ordered = unpack_bytes(packed).reshape(tiles, row_groups, geometry.outputs, geometry.inputs)
    padded = ordered.transpose(1, 2, 0, 3).reshape(row_groups * geometry.outputs, tiles * geometry.inputs)
    if padded[rows:].any() or padded[:, columns:].any():
        raise ValueError(f"beats hold a padding trit that is not zero outside {rows} x {columns} codes")
    return np.ascontiguousarray(padded[:rows, :columns])
