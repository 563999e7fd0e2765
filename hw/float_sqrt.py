"""Float32 square root, correctly rounded, one bit per cycle.

The arithmetic is defined by its twin, :func:`terntable.models.golden.float_sqrt.float_sqrt`.
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.float_bits import BIAS, EXPONENT, round_pack, unpack

__all__ = ["FloatSqrt"]

#: Root bits: 24 to keep and the half.
BITS = 25


class FloatSqrt(wiring.Component):
    """``o = sqrt(i.a)``

    ============  =====================================================
    Computes      ``float_sqrt``
    Latency       ``LATENCY`` cycles from the accepted operand to ``o.valid``
    Throughput    one at a time; ready the cycle after the result is taken
    Widths        float32 patterns
    Stall         the result waits in a register until it is taken
    ============  =====================================================

    Members
    -------
    i : In(stream of {a: 32})
    o : Out(stream of 32)

    """

    LATENCY = BITS + 2

    def __init__(self):
        super().__init__({
            "i": In(stream.Signature(data.StructLayout({"a": 32}))),
            "o": Out(stream.Signature(32)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        a = unpack(m, self.i.p.a, name="a")
        Rest = data.StructLayout({"exponent": EXPONENT, "sign": 1, "zero": 1, "invalid": 1})
        rest = Signal(Rest, reset_less=True)

        # Two bits of the radicand come down per bit of the root, as in the method on paper.
        busy = Signal()
        left = Signal(range(BITS + 1))
        radicand = Signal(26, reset_less=True)
        root = Signal(BITS, reset_less=True)
        remainder = Signal(BITS + 1, reset_less=True)    # at most twice the root
        difference = Signal(BITS + 4)                    # the top bit says that the next root bit is 0
        fits = ~difference[-1]
        m.d.comb += [
            difference.eq(Cat(radicand[-2:], remainder) - Cat(C(1, 2), root)),
            self.i.ready.eq(~busy & ~self.o.valid),
        ]

        with m.If(self.o.valid & self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                busy.eq(1),
                left.eq(BITS),
                # In [1, 4), two bits before the point: a is doubled where its true exponent is odd.
                radicand.eq(Mux(a.exponent[0], a.significand << 1, a.significand << 2)),
                root.eq(0),
                remainder.eq(0),
                rest.exponent.eq((a.exponent + BIAS) >> 1),
                rest.sign.eq(a.sign),
                rest.zero.eq(a.zero),
                rest.invalid.eq(a.invalid | (a.sign & ~a.zero)),
            ]

        with m.If(busy & (left != 0)):
            m.d.sync += [
                left.eq(left - 1),
                radicand.eq(radicand << 2),
                root.eq(Cat(fits, root)),
                remainder.eq(Mux(fits, difference, Cat(radicand[-2:], remainder))),
            ]
        with m.Elif(busy):
            m.d.sync += [
                busy.eq(0),
                self.o.valid.eq(1),
                self.o.p.eq(round_pack(m, rest.sign, rest.exponent, Cat(remainder.any(), root),
                                       zero=rest.zero, invalid=rest.invalid)),
            ]
        return m
