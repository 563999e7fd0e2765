"""Float32 to unsigned fixed point, the argument of the exponential.

The arithmetic is defined by its twin, :func:`terntable.models.golden.float_to_fixed.float_to_fixed`.
"""

from amaranth import *
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from terntable.hw.float_bits import BIAS, unpack
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

    LATENCY = 2

    def __init__(self):
        super().__init__({"a": In(32), "y": Out(WIDTH)})

    def pipeline(self, m: Module) -> None:
        top = BIAS + INTEGER_BITS - 1    # exponent of a leading one in the top bit of the result
        Rest = data.StructLayout({"small": 1, "huge": 1})

        # Stage 1: WIDTH integer bits, and below them all that the significand can reach; a number whose
        # leading one falls below the half bit rounds to 0.
        a = unpack(m, self.a, name="a")
        distance = Signal(range(WIDTH + 1))
        m.d.comb += distance.eq(top - a.exponent)
        small = (a.exponent < top - WIDTH) | a.sign
        aligned = register(m, Cat(C(0, WIDTH), a.significand) >> distance, name="aligned")
        rest = Signal(Rest, reset_less=True)
        m.d.sync += [rest.small.eq(small & ~a.invalid), rest.huge.eq(a.exponent > top)]

        # Stage 2: round to even; only a number just below the limit carries out, and is clamped too.
        fraction, whole = aligned[:-WIDTH], aligned[-WIDTH:]
        rounded = Signal(WIDTH + 1)
        m.d.comb += rounded.eq(whole + (fraction[-1] & (fraction[:-1].any() | whole[0])))
        with m.If(rest.small):
            m.d.sync += self.y.eq(0)
        with m.Elif(rest.huge | rounded[-1]):
            m.d.sync += self.y.eq((1 << WIDTH) - 1)
        with m.Else():
            m.d.sync += self.y.eq(rounded)
