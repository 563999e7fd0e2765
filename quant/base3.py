"""Five trits a byte: the base-3 code in which weights lie in memory.

A byte is the sum of ``(w_j + 1) * 3**j`` for j = 0..4, trit 0 lowest. Five zeros are byte 121; bytes from
243 on mean nothing and are refused.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.quant.places import first_place
from terntable.quant.ternary import check_ternary

__all__ = ["LEGAL_BYTES", "TRITS_PER_BYTE", "ZERO_BYTE", "pack_bytes", "unpack_bytes"]

TRITS_PER_BYTE = 5
LEGAL_BYTES = 3**TRITS_PER_BYTE
ZERO_BYTE = 121

# Row b holds the five trits of byte b.
_TRITS = (np.arange(LEGAL_BYTES)[:, None] // 3 ** np.arange(TRITS_PER_BYTE) % 3 - 1).astype(np.int8)


def pack_bytes(trits: ArrayLike) -> NDArray[np.uint8]:
    """Pack integer trits ``(..., 5n)`` into uint8 bytes ``(..., n)``.

    Raises ``ValueError`` if the last axis is no multiple of five or a value is not -1, 0 or 1; the sentence
    gives the first wrong value and its index.
    """
    values = np.asarray(trits)
    if values.ndim == 0 or values.shape[-1] % TRITS_PER_BYTE:
        raise ValueError(f"trits have shape {values.shape}, "
                         f"but the last axis must be a multiple of {TRITS_PER_BYTE}")
    check_ternary(values, "trits")
    count = values.shape[-1] // TRITS_PER_BYTE
    digits = (values.astype(np.int8, copy=False) + np.int8(1)).view(np.uint8)
    digits = digits.reshape(*values.shape[:-1], count, TRITS_PER_BYTE)
    # Horner's rule, highest trit first; 242 at most, so eight bits hold every step.
    packed = digits[..., TRITS_PER_BYTE - 1].copy()
    for place in range(TRITS_PER_BYTE - 2, -1, -1):
        packed *= np.uint8(3)
        packed += digits[..., place]
    return packed


def unpack_bytes(packed: ArrayLike) -> NDArray[np.int8]:
    """Unpack uint8 bytes ``(..., n)`` into int8 trits ``(..., 5n)``.

    Raises ``ValueError`` if the array is not uint8 or a byte is 243 or more; the sentence gives the first
    wrong byte and its index.
    """
    values = np.asarray(packed)
    if values.dtype != np.uint8 or values.ndim == 0:
        raise ValueError(f"packed bytes are {values.dtype} of shape {values.shape}, "
                         "but must be a uint8 array with at least one axis")
    if values.size and values.max() >= LEGAL_BYTES:
        place = first_place(values >= LEGAL_BYTES)
        raise ValueError(f"packed bytes hold {values[place]} at index {place}, "
                         f"but five trits make at most {LEGAL_BYTES - 1}")
    return _TRITS[values].reshape(*values.shape[:-1], values.shape[-1] * TRITS_PER_BYTE)
