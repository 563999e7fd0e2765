"""Float32 quotient, correctly rounded, one bit per cycle.

The arithmetic is defined by its twin, :func:`terntable.models.golden.float_divide.float_divide`.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.float_bits import BIAS, EXPONENT, round_pack, unpack

__all__ = ["FloatDivide"]

#: Quotient bits: 24 to keep, the half, and one lost when the quotient is below 1.
BITS = 26


class FloatDivide(wiring.Component):
    """``o = i.a / i.b``

    ============  =====================================================
    Computes      ``float_divide``
    Latency       ``LATENCY`` cycles from the accepted operands to ``o.valid``
    Throughput    one at a time; ready the cycle after the result is taken
    Widths        float32 patterns
    Stall         the result waits in a register until it is taken
    ============  =====================================================

    Members
    -------
    i : In(stream of {a: 32, b: 32})
    o : Out(stream of 32)

    """

    LATENCY = BITS + 2

    def __init__(self):
        super().__init__({
            "i": In(stream.Signature(data.StructLayout({"a": 32, "b": 32}))),
            "o": Out(stream.Signature(32)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        a = unpack(m, self.i.p.a, name="a")
        b = unpack(m, self.i.p.b, name="b")
        Rest = data.StructLayout({"exponent": EXPONENT, "sign": 1, "zero": 1, "invalid": 1})
        rest = Signal(Rest, reset_less=True)

        busy = Signal()
        left = Signal(range(BITS + 1))
        divisor = Signal(24, reset_less=True)
        remainder = Signal(25, reset_less=True)    # stays below twice the divisor
        quotient = Signal(BITS, reset_less=True)
        difference = Signal(26)                    # the top bit says that the divisor does not fit
        fits = ~difference[-1]
        m.d.comb += [
            difference.eq(remainder - divisor),
            self.i.ready.eq(~busy & ~self.o.valid),
        ]

        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                busy.eq(1),
                left.eq(BITS),
                divisor.eq(b.significand),
                remainder.eq(a.significand),
                rest.exponent.eq(a.exponent - b.exponent + BIAS),
                rest.sign.eq(a.sign ^ b.sign),
                rest.zero.eq(a.zero),
                rest.invalid.eq(a.invalid | b.invalid | b.zero),
            ]

        # The quotient of two numbers in [1, 2) is in (1/2, 2); its first bit counts 1.
        high = quotient[-1]
        significand, exponent = Signal(BITS + 1), Signal(EXPONENT)
        m.d.comb += [
            significand.eq(Cat(remainder.any(), Mux(high, quotient, quotient << 1))),
            exponent.eq(rest.exponent - ~high),
        ]
        with m.If(busy & (left != 0)):
            m.d.sync += [
                left.eq(left - 1),
                quotient.eq(Cat(fits, quotient)),
                remainder.eq(Mux(fits, difference, remainder) << 1),
            ]
        with m.Elif(busy):
            m.d.sync += [
                busy.eq(0),
                self.o.valid.eq(1),
                self.o.p.eq(round_pack(m, rest.sign, exponent, significand, zero=rest.zero,
                                       invalid=rest.invalid)),
            ]
        return m
