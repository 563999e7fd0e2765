"""The engine's word order: a ternary matrix as the sequence of memory words that the engine consumes.

The matrix is cut into blocks of ``block_outputs`` rows, the last one perhaps smaller, these into tiles of ``tile_inputs``
columns, and these into cells of ``outputs`` rows. Blocks follow one another, in a block its tiles, in a tile its cells. A cell
holds three trits for each lookup ``r * groups + t``: columns ``3t``, ``3t + 1``, ``3t + 2`` of the tile for row ``r`` of the cell.

A word has a byte for each lookup. Byte lane ``j`` of the words carries the trits of lookup ``j`` of all cells one after the other,
five a byte, so that a frame of five cells is three words. Cells of zeros fill up the last frame.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.quant.base3 import LEGAL_BYTES, TRITS_PER_BYTE
from terntable.quant.places import first_place
from terntable.quant.ternary import check_ternary

__all__ = ["BeatGeometry", "Padding", "pack_matrix", "unpack_matrix"]

_TRITS = 3
_FRAME_CELLS, _FRAME_WORDS = TRITS_PER_BYTE, _TRITS

#: Three trits as one number, (w + 1) with weights 1, 3 and 9: the number of three zeros, and the trits of each number.
_ZERO = 13
_DIGITS = (np.arange(27)[:, None] // 3 ** np.arange(_TRITS) % 3 - 1).astype(np.int8)


@dataclass(frozen=True)
class BeatGeometry:
    """Shape of a word: ``word_bytes`` lookups shared evenly among ``outputs`` rows; rows of a block.

    Raises ``ValueError`` unless all are positive and ``word_bytes`` and ``block_outputs`` are multiples of ``outputs``.
    """

    word_bytes: int
    outputs: int
    block_outputs: int

    def __post_init__(self) -> None:
        """Refuse a geometry whose rows would share a lookup, or whose blocks a cell."""
        if self.outputs < 1:
            raise ValueError(f"outputs is {self.outputs}, but must be at least 1")
        for name in ("word_bytes", "block_outputs"):
            value = getattr(self, name)
            if value < 1 or value % self.outputs:
                raise ValueError(f"{name} is {value}, but must be a positive multiple of outputs, {self.outputs}")

    @property
    def groups(self) -> int:
        """Lookups for each row of a cell."""
        return self.word_bytes // self.outputs

    @property
    def tile_inputs(self) -> int:
        """Columns of one tile."""
        return _TRITS * self.groups

    def tiles(self, columns: int) -> int:
        """Tiles that ``columns`` columns fill, the last one perhaps in part."""
        return -(-columns // self.tile_inputs)

    def blocks(self, rows: int) -> list[int]:
        """Rows of each block of a matrix of ``rows`` rows."""
        return [min(self.block_outputs, rows - first) for first in range(0, rows, self.block_outputs)]

    def cells(self, rows: int, columns: int) -> int:
        """Cells of a matrix, without those that fill up the last frame."""
        return self.tiles(columns) * (rows // self.outputs)

    def words(self, rows: int, columns: int) -> int:
        """Words of a matrix."""
        return -(-self.cells(rows, columns) // _FRAME_CELLS) * _FRAME_WORDS


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
    """Pack ternary codes ``(N, K)`` into uint8 words ``(words, word_bytes)``.

    Raises ``ValueError`` if ``codes`` is not a matrix with at least one element, N is not a multiple of ``outputs``, or it
    holds anything but -1, 0 and 1.
    """
    values = np.asarray(codes)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"codes have shape {values.shape}, but must be a matrix with at least one element")
    check_ternary(values, "codes")
    rows, columns = values.shape
    _check_rows(rows, geometry)
    tiles, words = geometry.tiles(columns), geometry.words(rows, columns)
    padded = np.zeros((rows, tiles * geometry.tile_inputs), np.int8)
    padded[:, :columns] = values
    numbers = (padded[:, 0::3] + np.int8(3) * padded[:, 1::3] + np.int8(9) * padded[:, 2::3] + np.int8(_ZERO)).view(np.uint8)
    cells = np.full((words // _FRAME_WORDS * _FRAME_CELLS, geometry.word_bytes), _ZERO, np.uint8)
    for lookups, block in _blocks(cells, numbers, geometry):
        lookups[:] = block
    c0, c1, c2, c3, c4 = cells.reshape(-1, _FRAME_CELLS, geometry.word_bytes).swapaxes(0, 1)
    packed = np.empty((words // _FRAME_WORDS, _FRAME_WORDS, geometry.word_bytes), np.uint8)
    packed[:, 0] = c0 + 27 * (c1 % 9)
    packed[:, 1] = c1 // 9 + 3 * c2 + 81 * (c3 % 3)
    packed[:, 2] = c3 // 3 + 9 * c4
    return packed.reshape(words, geometry.word_bytes), Padding(weights=values.size, stored=TRITS_PER_BYTE * packed.size)


def unpack_matrix(words: ArrayLike, rows: int, columns: int, geometry: BeatGeometry) -> NDArray[np.int8]:
    """Undo :func:`pack_matrix`: int8 codes ``(rows, columns)`` from uint8 words.

    Raises ``ValueError`` if the sizes are not positive or ``rows`` is not a multiple of ``outputs``, the words have another
    shape than that matrix takes, a byte is illegal, or a padding trit is not zero.
    """
    if rows < 1 or columns < 1:
        raise ValueError(f"the matrix has {rows} rows and {columns} columns, but needs at least 1 of each")
    _check_rows(rows, geometry)
    packed, expected = np.asarray(words), (geometry.words(rows, columns), geometry.word_bytes)
    if packed.dtype != np.uint8 or packed.shape != expected:
        raise ValueError(f"words are {packed.dtype} of shape {packed.shape}, "
                         f"but {rows} x {columns} codes take uint8 of shape {expected}")
    if packed.max() >= LEGAL_BYTES:
        place = first_place(packed >= LEGAL_BYTES)
        raise ValueError(f"words hold {packed[place]} at index {place}, but five trits make at most {LEGAL_BYTES - 1}")
    b0, b1, b2 = packed.reshape(-1, _FRAME_WORDS, geometry.word_bytes).swapaxes(0, 1)
    cells = np.empty((b0.shape[0], _FRAME_CELLS, geometry.word_bytes), np.uint8)
    cells[:, 0] = b0 % 27
    cells[:, 1] = b0 // 27 + 9 * (b1 % 3)
    cells[:, 2] = b1 // 3 % 27
    cells[:, 3] = b1 // 81 + 3 * (b2 % 9)
    cells[:, 4] = b2 // 9
    cells = cells.reshape(-1, geometry.word_bytes)
    numbers = np.empty((rows, geometry.tiles(columns) * geometry.groups), np.uint8)
    for lookups, block in _blocks(cells, numbers, geometry):
        block[:] = lookups
    trits = _DIGITS[numbers].reshape(rows, -1)
    if trits[:, columns:].any() or (cells[geometry.cells(rows, columns):] != _ZERO).any():
        raise ValueError(f"words hold a padding trit that is not zero outside {rows} x {columns} codes")
    return np.ascontiguousarray(trits[:, :columns])


def _check_rows(rows: int, geometry: BeatGeometry) -> None:
    if rows % geometry.outputs:
        raise ValueError(f"the matrix has {rows} rows, but needs a multiple of outputs, {geometry.outputs}")


def _blocks(cells: NDArray[np.uint8], numbers: NDArray[np.uint8], geometry: BeatGeometry):
    """Views of each block in the cells and in the numbers (N, tiles * groups), of shape (tiles, tile's cells, outputs, groups)."""
    tiles, row, cell = numbers.shape[1] // geometry.groups, 0, 0
    for size in geometry.blocks(len(numbers)):
        shape = size // geometry.outputs, geometry.outputs, tiles, geometry.groups
        count = tiles * shape[0]
        yield (cells[cell:cell + count].reshape(tiles, shape[0], geometry.outputs, geometry.groups),
               numbers[row:row + size].reshape(shape).transpose(2, 0, 1, 3))
        row, cell = row + size, cell + count
