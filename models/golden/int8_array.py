"""Twin of :mod:`terntable.hw.int8_array`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["int8_array"]


def int8_array(weight: ArrayLike, act: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All products of one INT8 vector with a vector for each row, and their sums.

    Parameters
    ----------
    weight : integers, shape (..., B)
    act : integers, shape (..., M, B)

    Returns
    -------
    int64 (..., M), int64 (..., M, B)
        Sums over the lanes, and products.

    """
    product = np.asarray(weight).astype(np.int64)[..., None, :] * np.asarray(act).astype(np.int64)
    return product.sum(axis=-1), product
