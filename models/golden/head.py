"""Twin of :mod:`terntable.hw.head`."""

import numpy as np
from numpy.typing import NDArray

from terntable.models.golden.float32 import from_int, mul

__all__ = ["logits", "words"]

#: Longest sum of products of 16 and 8 bits that float64 holds exactly.
MAX_INPUTS = 1 << 30


def logits(act: NDArray[np.int16], weight: NDArray[np.int8], scale: NDArray[np.float32],
           d: NDArray[np.float32]) -> NDArray[np.float32]:
    """Product of the quantised activations and the INT8 head, dequantised.

    Parameters
    ----------
    act : int16, shape (M, K)
    weight : int8, shape (V, K)
    scale : float32, shape (V,)
        Of the weight rows.
    d : float32, shape (M,)
        Of the activation rows.

    Returns
    -------
    float32, shape (M, V)
        ``mul(from_int(sum), mul(scale[v], d[m]))`` with the exact integer sum.

    """
    for name, value, dtype, axes in (("act", act, np.int16, 2), ("weight", weight, np.int8, 2),
                                     ("scale", scale, np.float32, 1), ("d", d, np.float32, 1)):
        if value.dtype != dtype or value.ndim != axes:
            raise ValueError(f"{name} must be {np.dtype(dtype)} with {axes} axes, "
                             f"not {value.dtype} with {value.ndim}")
    (rows, inputs), vocab = act.shape, len(weight)
    if weight.shape != (vocab, inputs) or scale.shape != (vocab,) or d.shape != (rows,):
        raise ValueError(f"Shapes do not fit: act {act.shape}, weight {weight.shape}, scale {scale.shape}, "
                         f"d {d.shape}")
    if inputs > MAX_INPUTS:
        raise ValueError(f"At most {MAX_INPUTS} columns, not {inputs}")
    # Products are below 2**22, so float64 sums are exact, and BLAS is much faster than integer loops.
    sums = (act.astype(np.float64) @ weight.T.astype(np.float64)).astype(np.int64)
    return mul(from_int(sums), mul(scale[None, :], d[:, None]))


def words(weight: NDArray[np.int8], scale: NDArray[np.float32], beat_bytes: int) -> NDArray[np.uint8]:
    """The stream that carries a head: blocks of `beat_bytes` rows, their scales, then beats of `beat_bytes` columns of each row.

    Parameters
    ----------
    weight : int8, shape (V, K)
    scale : float32, shape (V,)

    Returns
    -------
    uint8, shape (words, 2 * beat_bytes)
        Columns and rows are filled up with zeros to whole beats and blocks.

    """
    vocab, inputs = weight.shape
    blocks, column_words = -(-vocab // beat_bytes), -(-inputs // beat_bytes)
    scales = np.zeros(blocks * beat_bytes, "<f4")
    scales[:vocab] = scale
    rows = np.zeros((blocks * beat_bytes, column_words * beat_bytes), np.int8)
    rows[:vocab, :inputs] = weight
    beats = rows.view(np.uint8).reshape(blocks, beat_bytes, column_words, beat_bytes).swapaxes(1, 2)
    parts = [scales.view(np.uint8).reshape(blocks, -1), beats.reshape(blocks, -1)]
    return np.concatenate(parts, axis=1).reshape(-1, 2 * beat_bytes)
