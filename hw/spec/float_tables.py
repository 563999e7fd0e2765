"""Piecewise parabolas for float32 functions, shared by the hardware and its twins.

A function on one binade of its argument is cut into segments; in each, with ``u`` from 0 to 1 across it,
``c0 + c1 * u + c2 * u**2`` meets the function at both ends and in the middle. Coefficients are integers, in
units of 2**-VALUE_BITS. Decimal arithmetic makes them the same on every machine.
"""

from collections.abc import Callable
from decimal import Decimal, localcontext
from functools import cache
from typing import NamedTuple

__all__ = ["LOG2E_BITS", "LOG2E_FIXED", "SEGMENT_BITS", "VALUE_BITS", "Parabolas", "exp2_parabolas",
           "reciprocal_parabolas"]

#: Fraction bits of a value in 1..2, five more than float32 keeps.
VALUE_BITS = 28

#: log2 of the number of segments.
SEGMENT_BITS = 8

#: Fraction bits of LOG2E_FIXED: a product with at most 128 is then off by less than 2**-26.
LOG2E_BITS = 33

with localcontext() as _context:
    _context.prec = 40
    LOG2E_FIXED = int((Decimal(1 << LOG2E_BITS) / Decimal(2).ln()).to_integral_value())


class Parabolas(NamedTuple):
    """A table: ``(c0, c1, c2)`` of each segment, and how finely ``u`` is cut."""

    coefficients: tuple[tuple[int, int, int], ...]
    place_bits: int


def _fit(function: Callable[[Decimal], Decimal], place_bits: int) -> Parabolas:
    count = 1 << SEGMENT_BITS
    with localcontext() as context:
        context.prec = 40
        # Two points per segment and one more at the far end.
        points = [(1 << VALUE_BITS) * function(Decimal(i) / (2 * count)) for i in range(2 * count + 1)]
        rows = []
        for left, middle, right in zip(points[0:-1:2], points[1::2], points[2::2], strict=True):
            c0, end = int(left.to_integral_value()), int(right.to_integral_value())
            c2 = int((2 * (left - 2 * middle + right)).to_integral_value())
            rows.append((c0, end - c0 - c2, c2))    # segments join without a step
    return Parabolas(tuple(rows), place_bits)


@cache
def exp2_parabolas() -> Parabolas:
    """``2**f`` for a fraction f of 25 bits."""
    return _fit(lambda f: Decimal(2) ** f, place_bits=17)


@cache
def reciprocal_parabolas() -> Parabolas:
    """``2 / (1 + f)`` for a fraction f of 23 bits."""
    return _fit(lambda f: 2 / (1 + f), place_bits=15)
