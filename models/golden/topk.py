"""Twin of :mod:`terntable.hw.topk`."""

import numpy as np
from numpy.typing import NDArray

from terntable.hw.spec.program import RESULT
from terntable.models.golden.float_bits import from_bits, to_bits

__all__ = ["UNUSED", "sort_key", "topk"]

#: Index of an entry that no candidate filled.
UNUSED = 0xFFFFFFFF


def sort_key(logits: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Unsigned numbers that order as float32 values do, same shape; zeros are equal, INVALID is on top."""
    bits = to_bits(logits)
    bits = np.where(bits == 0x80000000, np.uint32(0), bits)
    return np.where(bits >> 31, ~bits, bits | np.uint32(0x80000000)).astype(np.uint32)


def topk(logits: NDArray[np.float32], k: int) -> NDArray[np.void]:
    """The `k` largest logits of each row.

    Parameters
    ----------
    logits : float32, shape (M, V)
    k : at least 1

    Returns
    -------
    RESULT, shape (M, k)
        Largest first, equal ones by index; a zero is +0 whatever its sign was. Entries past V hold index
        UNUSED and logit 0.

    """
    if logits.dtype != np.float32 or logits.ndim != 2:
        raise ValueError(f"Logits must be float32 (M, V), not {logits.dtype} of shape {logits.shape}")
    if k < 1:
        raise ValueError(f"k must be at least 1, not {k}")
    rows, vocab = logits.shape
    best = np.zeros((rows, k), RESULT)
    best["index"] = UNUSED
    order = np.argsort(~sort_key(logits), axis=1, kind="stable")[:, :k]
    values = to_bits(np.take_along_axis(logits, order, axis=1))
    best["index"][:, :order.shape[1]] = order
    best["logit"][:, :order.shape[1]] = from_bits(np.where(values == 0x80000000, np.uint32(0), values))
    return best
