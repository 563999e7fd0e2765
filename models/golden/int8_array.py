"""Twin of :mod:`terntable.hw.int8_array`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["accumulators", "dots"]


def dots(weight: ArrayLike, act: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sums of the products of one INT8 vector with a vector for each row.

    Parameters
    ----------
    weight : integers, shape (..., B)
    act : integers, shape (..., M, B)

    Returns
    -------
    int64 (..., M), int64 (..., M)
        Over the lower and over the upper half of the lanes.

    """
    product = np.asarray(weight).astype(np.int64)[..., None, :] * np.asarray(act).astype(np.int64)
    half = product.shape[-1] // 2
    return product[..., :half].sum(axis=-1), product[..., half:].sum(axis=-1)


def accumulators(weight: ArrayLike, act: ArrayLike) -> NDArray[np.int64]:
    """Sums of INT8 vectors, each times two numbers for each row: one for the lower half of the lanes, one for the upper.

    Parameters
    ----------
    weight : integers, shape (N, B)
    act : integers, shape (N, M, 2)

    Returns
    -------
    int64 (M, B)

    """
    weight = np.asarray(weight).astype(np.int64)
    lanes = np.repeat(np.asarray(act).astype(np.int64), weight.shape[1] // 2, axis=2)
    return np.einsum("nb,nmb->mb", weight, lanes)
