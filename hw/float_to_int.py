"""Float32 to signed integer, rounded to nearest even and clamped.

The arithmetic is defined by its twin, :func:`terntable.models.golden.float_to_int.float_to_int`.
"""

from amaranth.hdl import C, Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from terntable.hw.float_bits import BIAS, align, unpack
from terntable.hw.kernel import Kernel, register
from terntable.hw.spec.numbers import ACC_BITS

__all__ = ["FloatToInt"]


class FloatToInt(Kernel):
    """``y = clamp(round(a))``

    ============  =====================================================
    Computes      ``float_to_int`` with ``bits = width``
    Latency       ``LATENCY`` enabled clocks
    Throughput    one per enabled clock
    Widths        float32 pattern to signed integer of ``width`` bits
    Stall         stands still while ``en`` is low
    ============  =====================================================

    Parameters
    ----------
    width : int
        Bits of ``y`` with its sign, 2 to ACC_BITS (48).

    Members
    -------
    a : In(32)
    y : Out(signed(width))
        0 for an invalid operand.
    invalid : Out(1)
        The operand of this ``y`` had exponent 255.

    """

    LATENCY = 4

    def __init__(self, *, width: int = 8):
        if not 2 <= width <= ACC_BITS:
            raise ValueError(f"width must be 2..{ACC_BITS}, not {width!r}")
        self.width = width
        super().__init__({"a": In(32), "y": Out(signed(width)), "invalid": Out(1)})

    def pipeline(self, m: Module) -> None:
        width = self.width
        top = BIAS + width - 1    # exponent of a leading one in bit width-1
        Rest = data.StructLayout({"sign": 1, "huge": 1, "invalid": 1})

        # Stage 1: how far the leading one lies below bit width-1. Distance width means 0.5 <= |a| < 1;
        # anything smaller rounds to 0 as well as distance width+1 does.
        a = unpack(m, self.a, name="a")
        distance = Signal(range(width + 2))
        with m.If(a.exponent < top - width - 1):
            m.d.comb += distance.eq(width + 1)
        with m.Else():
            m.d.comb += distance.eq(top - a.exponent)
        distance = register(m, distance, name="distance_held")
        significand = register(m, a.significand, name="significand")
        first = Signal(Rest, reset_less=True)
        m.d.sync += [first.sign.eq(a.sign), first.huge.eq(a.exponent > top), first.invalid.eq(a.invalid)]

        # Stages 2 and 3: whole numbers, below them the half and one bit that gathers the rest.
        aligned = align(m, significand, distance, places=width, name="aligned")
        rest = register(m, first, name="rest", cycles=2)

        # Stage 4: round to even, negate (-x is ~x + 1), then clamp; a negative number has one more step of room.
        sticky, half, whole = aligned[0], aligned[1], aligned[2:]
        up = half & (sticky | whole[0])
        rounded, over = Signal(width), Signal()
        limit = 1 << (width - 1)
        m.d.comb += [
            rounded.eq((whole ^ rest.sign.replicate(width)) + (up ^ rest.sign)),
            over.eq(rest.huge | Mux(rest.sign, whole[-1] & ~rounded[-1], whole[-1] | rounded[-1])),
        ]
        clamped = Mux(over, Mux(rest.sign, C(limit, width), C(limit - 1, width)), rounded)
        m.d.comb += [
            self.y.eq(register(m, Mux(rest.invalid, 0, clamped), name="y_held")),
            self.invalid.eq(register(m, rest.invalid, name="invalid_held")),
        ]
