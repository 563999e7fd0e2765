"""Twin of :mod:`terntable.hw.float_parabola`."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.hw.spec.float_tables import Parabolas

__all__ = ["float_parabola"]


def float_parabola(table: Parabolas, x: ArrayLike) -> NDArray[np.int64]:
    """The function of ``table`` at fraction ``x``, both as integers.

    Parameters
    ----------
    table : Parabolas
    x : integers, any shape
        The upper bits pick the segment, the lower ``table.place_bits`` the place in it.

    Returns
    -------
    int64, same shape
        In units of 2**-28; products are rounded down.

    """
    x = np.asarray(x).astype(np.int64)
    c0, c1, c2 = np.array(table.coefficients, dtype=np.int64).T
    segment, place = x >> table.place_bits, x & ((1 << table.place_bits) - 1)
    slope = c1[segment] + ((c2[segment] * place) >> table.place_bits)
    return c0[segment] + ((slope * place) >> table.place_bits)
