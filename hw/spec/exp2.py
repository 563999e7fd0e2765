"""The table of the base-2 exponential, shared by the hardware and its twin.

``2**-f`` for a fraction f of 16 bits is a straight line between 257 points: the upper 8 bits pick a
segment, the lower 8 the place in it. Points have 21 fraction bits, 5 more than the result.
"""

from decimal import Decimal, localcontext

from terntable.hw.spec.numbers import EXP_ONE

__all__ = ["EXTRA_BITS", "SEGMENT_BITS", "SLOPE_BITS", "exp2_table"]

#: log2 of the number of segments.
SEGMENT_BITS = 8

#: Fraction bits of a point beyond those of the result.
EXTRA_BITS = 5

#: Bits of the largest fall across one segment.
SLOPE_BITS = 13


def exp2_table() -> list[tuple[int, int]]:
    """``(point, fall)`` of each segment: its value at the left end and how much lower the right end is.

    Decimal arithmetic makes the table the same on every machine.
    """
    count = 1 << SEGMENT_BITS
    with localcontext() as context:
        context.prec = 40
        scale = EXP_ONE << EXTRA_BITS
        exact = [scale * Decimal(2) ** (-Decimal(i) / count) for i in range(count + 1)]
        points = [int(value.to_integral_value()) for value in exact]
    return [(left, left - right) for left, right in zip(points, points[1:], strict=False)]
