"""Twin of :mod:`terntable.hw.base3`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.quant.base3 import LEGAL_BYTES

__all__ = ["split_bytes"]


def split_bytes(words: ArrayLike) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
    """``(first, second, rest, illegal)`` of words of uint8 bytes ``(..., bytes)``: ``byte = first + 3 * second + 9 * rest``.

    The parts have the shape of ``words``, ``first`` and ``second`` are below 3; ``illegal`` ``(...)`` is true where any byte of
    the word is 243 or more.
    """
    values = np.asarray(words, np.uint8)
    parts = [(values // 3**n % (3 if n < 2 else 256)).astype(np.uint8) for n in range(3)]
    return parts[0], parts[1], parts[2], np.asarray((values >= LEGAL_BYTES).any(axis=-1))
