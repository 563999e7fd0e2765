"""Float32 product, correctly rounded.

The arithmetic is defined by its twin, :func:`terntable.models.golden.float_mul.float_mul`.
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from terntable.hw.float_bits import BIAS, EXPONENT, exponent_limits, round_pack, wide_product
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

    LATENCY = 4

    def __init__(self):
        super().__init__({"a": In(32), "b": In(32), "y": Out(32)})

    def pipeline(self, m: Module) -> None:
        # Stage 1, and 2 and 3 inside the multiplier.
        a = register(m, self.a, name="a_held")
        b = register(m, self.b, name="b_held")
        product = wide_product(m, Cat(a[:23], C(1, 1)), Cat(b[:23], C(1, 1)), name="product")

        Rest = data.StructLayout({"exponent": EXPONENT, "sign": 1, "zero": 1, "invalid": 1})
        second, third = Signal(Rest, reset_less=True), Signal(Rest, reset_less=True)
        m.d.sync += [
            second.exponent.eq(a[23:31] + b[23:31]),
            second.sign.eq(a[31] ^ b[31]),
            second.zero.eq((a[23:31] == 0) | (b[23:31] == 0)),
            second.invalid.eq(a[23:31].all() | b[23:31].all()),
            third.eq(second),
            third.exponent.eq(second.exponent - BIAS),
        ]
        limits = register(m, exponent_limits(m, second.exponent - BIAS, name="limits"), name="limits_held")

        # Stage 4: a product of two numbers in [1, 2) is in [1, 4).
        twice = product[-1]
        significand = Mux(twice, product, product << 1)[:len(product)]
        y = round_pack(m, third.sign, third.exponent, significand, zero=third.zero, invalid=third.invalid,
                       limits=limits, more=twice)
        m.d.comb += self.y.eq(register(m, y, name="y_held"))
