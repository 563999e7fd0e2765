"""Float32 inverse square root: the root, then one divided by it.

The arithmetic is defined by its twin, :func:`terntable.models.golden.float_inverse_sqrt.float_inverse_sqrt`.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.float_divide import FloatDivide
from terntable.hw.float_sqrt import FloatSqrt

__all__ = ["FloatInverseSqrt"]

#: The pattern of 1.
ONE = 0x3F800000


class FloatInverseSqrt(wiring.Component):
    """``o = 1 / sqrt(i.a)``, within 1.5 units in the last place

    ============  =====================================================
    Computes      ``float_inverse_sqrt``
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

    LATENCY = FloatSqrt.LATENCY + FloatDivide.LATENCY

    def __init__(self):
        super().__init__({
            "i": In(stream.Signature(data.StructLayout({"a": 32}))),
            "o": Out(stream.Signature(32)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.sqrt = sqrt = FloatSqrt()
        m.submodules.divide = divide = FloatDivide()
        busy = Signal()    # holds back the next operand while this one divides
        m.d.comb += [
            sqrt.i.p.a.eq(self.i.p.a),
            sqrt.i.valid.eq(self.i.valid & ~busy),
            self.i.ready.eq(sqrt.i.ready & ~busy),
            divide.i.p.a.eq(ONE),
            divide.i.p.b.eq(sqrt.o.p),
            divide.i.valid.eq(sqrt.o.valid),
            sqrt.o.ready.eq(divide.i.ready),
        ]
        wiring.connect(m, divide.o, wiring.flipped(self.o))
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += busy.eq(1)
        with m.Elif(self.o.valid & self.o.ready):
            m.d.sync += busy.eq(0)
        return m
