"""The two-stage head: a ternary shortlist of the vocabulary for each token row, then the exact head over it."""

import numpy as np
from numpy.typing import NDArray

from terntable.hw.spec.program import RESULT
from terntable.models.golden.float32 import from_int, mul
from terntable.models.golden.head import logits
from terntable.models.golden.topk import UNUSED, topk

__all__ = ["best_of", "scores"]


def scores(sums: NDArray[np.int32], scale: NDArray[np.float32]) -> NDArray[np.float32]:
    """What orders the vocabulary in the first stage.

    Parameters
    ----------
    sums : int32, shape (M, V)
        Of the ternary engine.
    scale : float32, shape (V,)
        Of the shortlist's rows.

    Returns
    -------
    float32, shape (M, V)
        ``mul(from_int(sum), scale[v])``. A row's dequantisation scale, positive, would not change its order.

    """
    return mul(from_int(sums), scale[None, :])


def best_of(candidates: NDArray[np.uint32], act: NDArray[np.int16], weight: NDArray[np.int8], scale: NDArray[np.float32],
            d: NDArray[np.float32], k: int) -> tuple[NDArray[np.void], NDArray[np.float32]]:
    """The `k` largest of each row's candidates by their exact logits.

    Parameters
    ----------
    candidates : uint32, shape (M, K)
        Vocabulary rows, in any order; UNUSED is none.
    act, weight, scale, d : (M, H), (V, H), (V,), (M,)
        As of :func:`terntable.models.golden.head.logits`.

    Returns
    -------
    RESULT, shape (M, k)
        As :func:`terntable.models.golden.topk.topk` gives them: largest first, equal ones by index in the vocabulary.
    float32, shape (n,)
        The logits of all candidates, row by row.

    """
    best, seen = np.zeros((len(candidates), k), RESULT), []
    for row, some in enumerate(candidates):
        index = np.sort(some[some != UNUSED])
        own = logits(act[row:row + 1], weight[index], scale[index], d[row:row + 1])
        best[row] = topk(own, k)[0]
        used = best[row]["index"] != UNUSED
        best["index"][row][used] = index[best[row]["index"][used]]
        seen.append(own[0])
    return best, np.concatenate(seen)
