"""Where an array goes wrong, for the sentences of errors."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["first_place"]


def first_place(wrong: NDArray[np.bool_]) -> tuple[int, ...]:
    """Index of the first True, in C order, of an array (any shape) that has one."""
    return tuple(int(i) for i in np.unravel_index(int(np.argmax(wrong)), wrong.shape))
