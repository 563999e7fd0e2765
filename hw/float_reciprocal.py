"""Float32 reciprocal by table and parabola.

The arithmetic is defined by its twin, :func:`terntable.models.golden.float_reciprocal.float_reciprocal`.
"""

from amaranth.hdl import C, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from terntable.hw.float_bits import BIAS, EXPONENT, exponent_limits, round_pack, unpack
from terntable.hw.float_parabola import FloatParabola
from terntable.hw.kernel import Kernel, register
from terntable.hw.spec.float_tables import reciprocal_parabolas

__all__ = ["FloatReciprocal"]


class FloatReciprocal(Kernel):
    """``y = 1 / a``, within 0.65 units in the last place

    ============  =====================================================
    Computes      ``float_reciprocal``
    Latency       ``LATENCY`` enabled clocks
    Throughput    one per enabled clock
    Widths        float32 patterns
    Stall         stands still while ``en`` is low
    ============  =====================================================

    Members
    -------
    a : In(32)
    y : Out(32)

    """

    LATENCY = FloatParabola.LATENCY + 1

    def __init__(self):
        super().__init__({"a": In(32), "y": Out(32)})

    def pipeline(self, m: Module) -> None:
        a = unpack(m, self.a, name="a")
        m.submodules.parabola = parabola = FloatParabola(table=reciprocal_parabolas())
        m.d.comb += [parabola.en.eq(1), parabola.x.eq(self.a[:23])]
        a = register(m, a, name="a_held", cycles=parabola.LATENCY - 1)
        exponent = Signal(EXPONENT)
        m.d.comb += exponent.eq(2 * BIAS - 1 - a.exponent)
        limits = register(m, exponent_limits(m, exponent, name="limits"), name="limits_held")
        exponent, a = register(m, exponent, name="exponent"), register(m, a, name="a_at_end")

        # The table gives twice the reciprocal of the significand: below 2, or just 2 for a power of two.
        value = parabola.y
        high = value[-1]
        y = round_pack(m, a.sign, exponent, Mux(high, value, value << 1)[:len(value)], zero=C(0, 1),
                       invalid=a.invalid | a.zero, limits=limits, more=high)
        m.d.comb += self.y.eq(register(m, y, name="y_held"))
