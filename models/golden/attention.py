"""Twin of :mod:`terntable.hw.attention`: key-value heads and the query heads of a group."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.models.golden.exp2 import exp2_negative
from terntable.models.golden.float32 import div, from_bits, from_int, is_invalid, mul, sub, to_bits, to_int
from terntable.models.golden.float_to_fixed import float_to_fixed

__all__ = ["MASK_SLOTS", "WEIGHT_BITS", "attention", "attention_scores", "attention_weights", "maximum", "visible"]

#: Slots after a row's prefix that its mask chooses from.
MASK_SLOTS = 64

#: Bits, with the sign, of the value scales and of the weights that values are multiplied with.
WEIGHT_BITS = 17

#: One, in the fixed point of exponentials and value scales.
ONE = 1 << 16


def visible(prefix: ArrayLike, mask: ArrayLike, slots: int) -> NDArray[np.bool_]:
    """Which slots each row sees: all below its prefix, then those whose bit in its mask is set.

    Parameters
    ----------
    prefix : integers, shape (M,)
    mask : uint64, shape (M,)
        Bit i stands for slot prefix + i.
    slots : int
        Slots read, n.

    Returns
    -------
    bool, shape (M, n)

    """
    past = np.arange(slots, dtype=np.int64) - np.asarray(prefix).astype(np.int64)[:, None]
    place = np.clip(past, 0, MASK_SLOTS - 1).astype(np.uint64)
    chosen = ((np.asarray(mask, dtype=np.uint64)[:, None] >> place) & np.uint64(1)).astype(bool)
    return (past < 0) | ((past < MASK_SLOTS) & chosen)


def maximum(a: NDArray[np.float32],
            wanted: NDArray[np.bool_]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Largest wanted value along the last axis, and whether there was any; without one the value is 0.

    Patterns are compared as integers after turning negative ones round, so INVALID is above all numbers.
    """
    bits = to_bits(a).astype(np.int64)
    order = np.where(bits >> 31, bits ^ 0xFFFFFFFF, bits | 0x80000000)
    best = np.where(wanted, order, 0).max(axis=-1)
    pattern = np.where(best >> 31, best & 0x7FFFFFFF, best ^ 0xFFFFFFFF)
    return from_bits(np.where(best == 0, 0, pattern)), best != 0


def attention_scores(query: ArrayLike, query_scale: ArrayLike, key: ArrayLike, key_scale: ArrayLike,
                     imm: ArrayLike) -> NDArray[np.float32]:
    """Scores in units of log 2: int8 queries (M, G, d) times int8 keys (n, d), scaled; float32 (M, G, n)."""
    c = mul(np.asarray(query_scale, np.float32), np.asarray(imm, np.float32))
    # Sums of int8 products are exact in float64, whose matrix product is fast.
    dots = (np.asarray(query).astype(np.float64) @ np.asarray(key).astype(np.float64).T).astype(np.int64)
    return mul(from_int(dots), mul(c[..., None], np.asarray(key_scale, np.float32)))


def attention_weights(scores: NDArray[np.float32], value_scale: ArrayLike, visible: NDArray[np.bool_],
                      ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Exponentials of the scores, each alone and times its slot's value scale.

    Parameters
    ----------
    scores : float32, shape (M, G, n)
    value_scale : float32, shape (n,)
    visible : bool, shape (M, n)

    Returns
    -------
    int64 (M, G, n), int64 (M, G, n), float32 (M,)
        Exponentials (one is 65536), weights, and each row's largest visible value scale, which weights
        are relative to.

    """
    value_scale = np.broadcast_to(np.asarray(value_scale, np.float32), visible.shape)
    seen = visible[:, None, :]
    largest, _ = maximum(scores, seen)
    exponentials = np.where(seen, exp2_negative(float_to_fixed(sub(largest[..., None], scores))), 0)
    largest_scale, _ = maximum(value_scale, visible)
    relative = mul(value_scale, div(np.float32(ONE), largest_scale)[:, None])
    scale = to_int(np.where(is_invalid(relative), np.float32(0), relative), WEIGHT_BITS)[:, None, :]
    weights = np.where(seen, (exponentials * scale + ONE // 2) >> 16, 0)
    return exponentials, weights, largest_scale


def attention(query: ArrayLike, query_scale: ArrayLike, key: ArrayLike, key_scale: ArrayLike,
              value: ArrayLike, value_scale: ArrayLike, visible: ArrayLike,
              imm: ArrayLike) -> NDArray[np.float32]:
    """Softmax of the scaled products of queries and keys, times the values.

    Parameters
    ----------
    query, query_scale : int8, shape (M, G, d); float32, shape (M, G)
    key, key_scale : int8, shape (n, d); float32, shape (n,)
    value, value_scale : int8, shape (n, d); float32, shape (n,)
    visible : bool, shape (M, n)
    imm : float32
        log2(e) / sqrt(d).

    Returns
    -------
    float32, shape (M, G, d)
        A row that sees no slot gives +0. A visible INVALID score or value scale makes its row INVALID.

    """
    visible = np.asarray(visible, dtype=bool)
    scores = attention_scores(query, query_scale, key, key_scale, imm)
    exponentials, weights, largest_scale = attention_weights(scores, value_scale, visible)
    sums = (weights.astype(np.float64) @ np.asarray(value).astype(np.float64)).astype(np.int64)
    # INVALID scores leave no exponential, and division by zero is INVALID.
    factor = div(largest_scale[:, None], from_int(exponentials.sum(axis=-1)))
    out = mul(from_int(sums), factor[..., None])
    return np.where(visible.any(axis=-1)[:, None, None], out, np.float32(0))
