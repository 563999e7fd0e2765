"""Float32 product, correctly rounded.

The arithmetic is defined by its twin, :func:`terntable.models.golden.float_mul.float_mul`.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from terntable.hw.float_bits import BIAS, EXPONENT, round_pack, unpack
from terntable.hw.kernel import Kernel, register

__all__ = ["FloatMul"]


class FloatMul(Kernel):
    """``y = a * b``

    ============  =====================================================
    Computes      ``float_mul``
    Latency       ``LATENCY`` enabled clocks
    Throughput    one per enabled clock
    Widths        float32 patterns
    Stall         stands still while ``en`` is low
    ============  =====================================================

    Members
    -------
    a, b : In(32)
    y : Out(32)

    """

    LATENCY = 3

    def __init__(self):
        super().__init__({"a": In(32), "b": In(32), "y": Out(32)})

    def pipeline(self, m: Module) -> None:
        # Stage 1: registers in front of the multiplier and, in stage 2, behind it.
        a = register(m, unpack(m, self.a, name="a"), name="a_held")
        b = register(m, unpack(m, self.b, name="b"), name="b_held")

        # Stage 2
        product = register(m, a.significand * b.significand, name="product")
        Rest = data.StructLayout({"exponent": EXPONENT, "sign": 1, "zero": 1, "invalid": 1})
        rest = Signal(Rest, reset_less=True)
        m.d.sync += [
            rest.exponent.eq(a.exponent + b.exponent - BIAS),
            rest.sign.eq(a.sign ^ b.sign),
            rest.zero.eq(a.zero | b.zero),
            rest.invalid.eq(a.invalid | b.invalid),
        ]

        # Stage 3: a product of two numbers in [1, 2) is in [1, 4).
        high = product[47]
        significand, exponent = Signal(48), Signal(EXPONENT)
        m.d.comb += [
            significand.eq(Mux(high, product, product << 1)),
            exponent.eq(rest.exponent + high),
        ]
        m.d.sync += self.y.eq(round_pack(m, rest.sign, exponent, significand, zero=rest.zero,
                                         invalid=rest.invalid))
