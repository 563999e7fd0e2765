"""Float32 to unsigned fixed point, the argument of the exponential.

The arithmetic is defined by its twin, :func:`terntable.models.golden.float_to_fixed.float_to_fixed`.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from terntable.hw.float_bits import BIAS, align, unpack
from terntable.hw.kernel import Kernel, register
from terntable.hw.spec.numbers import EXP_FRACTION_BITS as FRACTION_BITS
from terntable.hw.spec.numbers import EXP_INPUT_BITS

__all__ = ["FloatToFixed"]

INTEGER_BITS = EXP_INPUT_BITS - FRACTION_BITS
WIDTH = EXP_INPUT_BITS


class FloatToFixed(Kernel):
    """``y = clamp(round(a * 2**16))``

    ============  =====================================================
    Computes      ``float_to_fixed``
    Latency       ``LATENCY`` enabled clocks
    Throughput    one per enabled clock
    Widths        float32 pattern to 5 bits before, 16 after the binary point
    Stall         stands still while ``en`` is low
    ============  =====================================================

    Members
    -------
    a : In(32)
    y : Out(21)

    """

    LATENCY = 4

    def __init__(self):
        super().__init__({"a": In(32), "y": Out(WIDTH)})

    def pipeline(self, m: Module) -> None:
        top = BIAS + INTEGER_BITS - 1    # exponent of a leading one in the top bit of the result
        Rest = data.StructLayout({"small": 1, "huge": 1})

        # Stage 1: how far the leading one lies below the top bit. One below the half bit rounds to 0.
        a = unpack(m, self.a, name="a")
        distance = Signal(range(WIDTH + 1))
        m.d.comb += distance.eq(top - a.exponent)
        small = (a.exponent < top - WIDTH) | a.sign
        distance = register(m, distance, name="distance_held")
        significand = register(m, a.significand, name="significand")
        first = Signal(Rest, reset_less=True)
        m.d.sync += [first.small.eq(small & ~a.invalid), first.huge.eq(a.exponent > top)]

        # Stages 2 and 3: integer bits, below them the half and one bit that gathers the rest.
        aligned = align(m, significand, distance, places=WIDTH, name="aligned")
        rest = register(m, first, name="rest", cycles=2)

        # Stage 4: round to even; only a number just below the limit carries out, and is clamped too.
        sticky, half, whole = aligned[0], aligned[1], aligned[2:]
        rounded = Signal(WIDTH + 1)
        m.d.comb += rounded.eq(whole + (half & (sticky | whole[0])))
        y = Mux(rest.small, 0, Mux(rest.huge | rounded[-1], (1 << WIDTH) - 1, rounded[:WIDTH]))
        m.d.comb += self.y.eq(register(m, y, name="y_held"))
