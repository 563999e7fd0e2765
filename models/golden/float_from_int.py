"""Twin of :mod:`terntable.hw.float_from_int`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.hw.spec.numbers import ACC_BITS
from terntable.models.golden.float_bits import result

__all__ = ["float_from_int"]


def float_from_int(i: ArrayLike) -> NDArray[np.float32]:
    """The float32 nearest to integer ``i`` (any shape, ``|i| < 2**48``), ties to even; zero is +0.

    Such an integer is exact in float64, so it is rounded once.
    """
    i = np.asarray(i)
    if i.dtype.kind not in "iu":
        raise ValueError(f"Integers are wanted, not {i.dtype}")
    if i.size and (int(i.max()) >= 1 << ACC_BITS or int(i.min()) <= -(1 << ACC_BITS)):
        raise ValueError(f"Integers must be below 2**{ACC_BITS} in magnitude, "
                         f"not {int(i.min())}..{int(i.max())}")
    return result(i.astype(np.float64))
