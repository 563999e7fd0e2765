"""Float32 exponential: a power of two by table and parabola.

The arithmetic is defined by its twin, :func:`terntable.models.golden.float_exp.float_exp`.
"""

from amaranth.hdl import C, Cat, Module, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from terntable.hw.float_bits import BIAS, EXPONENT, exponent_limits, round_pack, wide_product
from terntable.hw.float_parabola import FloatParabola
from terntable.hw.kernel import Kernel, register
from terntable.hw.spec.float_tables import LOG2E_BITS, LOG2E_FIXED, VALUE_BITS, exp2_parabolas

__all__ = ["FloatExp"]

#: Fraction bits of the base-2 exponent.
BITS = 25

#: Exponent of the largest magnitudes that are scaled; from 128 on the result is out of range.
TOP = BIAS + 6


class FloatExp(Kernel):
    """``y = exp(a)``, within 0.8 units in the last place

    ============  =====================================================
    Computes      ``float_exp``
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

    LATENCY = 7 + FloatParabola.LATENCY

    def __init__(self):
        super().__init__({"a": In(32), "y": Out(32)})

    def pipeline(self, m: Module) -> None:
        # Stages 1 to 3: significand * log2(e), with registers around two multiplier blocks.
        # What counts as zero is shifted away whatever its digits are.
        a = register(m, self.a, name="a_held")
        exponent = a[23:31]
        product = wide_product(m, Cat(a[:23], C(1, 1)), C(LOG2E_FIXED, LOG2E_BITS + 1), name="product")
        product = product[LOG2E_BITS + 17 - BITS - 1:]
        amount = Signal(6)
        with m.If(exponent < TOP - 63):
            m.d.comb += amount.eq(63)    # shifts everything away
        with m.Else():
            m.d.comb += amount.eq(TOP - exponent)
        amount = register(m, amount, name="amount_held", cycles=2)
        Rest = data.StructLayout({"sign": 1, "huge": 1, "invalid": 1})
        rest = Signal(Rest, reset_less=True)
        m.d.sync += [rest.sign.eq(a[31]), rest.huge.eq(exponent > TOP), rest.invalid.eq(exponent.all())]

        # Stages 4 and 5: the point to its place.
        shifted = register(m, product >> Cat(C(0, 4), amount[4:]), name="far")
        shifted = register(m, shifted >> register(m, amount[:4], name="amount_left"), name="shifted")

        # Stage 6: round away the last bit and negate: -x is ~x + 1.
        sign = register(m, rest.sign, name="sign", cycles=3)
        scaled = Signal(signed(len(shifted)))
        m.d.comb += scaled.eq((Cat(shifted[1:], C(0, 1)) ^ sign.replicate(len(shifted))) + (shifted[0] ^ sign))
        scaled = register(m, scaled, name="scaled_held")

        # 2**scaled = 2**whole * 2**fraction
        m.submodules.parabola = parabola = FloatParabola(table=exp2_parabolas())
        m.d.comb += [parabola.en.eq(1), parabola.x.eq(scaled[:BITS])]
        whole = register(m, scaled[BITS:].as_signed(), name="whole", cycles=parabola.LATENCY - 1)
        exponent = Signal(EXPONENT)
        m.d.comb += exponent.eq(whole + BIAS)
        limits = register(m, exponent_limits(m, exponent, name="limits"), name="limits_held")
        exponent = register(m, exponent, name="exponent")
        rest = register(m, rest, name="rest_held", cycles=4 + parabola.LATENCY)

        # Last stage. Far below zero counts as zero, far above as overflow.
        y = round_pack(m, C(0, 1), exponent, parabola.y[:VALUE_BITS + 1], zero=rest.huge & rest.sign,
                       invalid=rest.invalid | (rest.huge & ~rest.sign), limits=limits)
        m.d.comb += self.y.eq(register(m, y, name="y_held"))
