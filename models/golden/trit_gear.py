"""Twin of :mod:`terntable.hw.trit_gear`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.hw.spec.layout import FRAME_CELLS, FRAME_WORDS
from terntable.hw.spec.lookup import CODES, TRITS
from terntable.models.golden.base3 import split_bytes
from terntable.quant.base3 import TRITS_PER_BYTE

__all__ = ["LATENCY", "lookups"]

#: Cycles from a cell to its lookups.
LATENCY = 3

_ADDRESS, _NEGATE = np.array(CODES, np.uint8).T


def lookups(words: ArrayLike) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """``(address, negate)``, both ``(5 * frames, bytes)``, of the cells of legal uint8 words ``(3 * frames, bytes)``.

    Raises ``ValueError`` if the words are no whole frames or a byte is illegal.
    """
    values = np.asarray(words, np.uint8)
    if values.ndim != 2 or len(values) % FRAME_WORDS:
        raise ValueError(f"words have shape {values.shape}, but must be a matrix of a multiple of {FRAME_WORDS} words")
    first, second, rest, illegal = split_bytes(values)
    if illegal.any():
        raise ValueError(f"word {int(np.argmax(illegal))} has an illegal byte")
    trits = np.stack([first, second, rest % 3, rest // 3 % 3, rest // 9])    # (trit of a byte, word, byte)
    lanes = trits.reshape(TRITS_PER_BYTE, -1, FRAME_WORDS, values.shape[1]).transpose(1, 2, 0, 3)
    cells = lanes.reshape(-1, FRAME_CELLS, TRITS, values.shape[1]).reshape(-1, TRITS, values.shape[1])
    number = cells[:, 0] + 3 * cells[:, 1] + 9 * cells[:, 2]
    return _ADDRESS[number], _NEGATE[number].astype(bool)
