"""FP16 to binary32, exact. Twin: :func:`terntable.models.golden.half_to_float.half_to_float`."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.spec.numbers import INVALID

__all__ = ["HalfToFloat"]


class HalfToFloat(wiring.Component):
    """One conversion, combinational (latency 0, a value per cycle).

    FP16 subnormals are ordinary binary32 numbers; NaN and infinity become INVALID.
    """

    LATENCY = 0

    def __init__(self) -> None:
        super().__init__({"a": In(16), "y": Out(32)})

    def elaborate(self, platform) -> Module:
        m = Module()
        fraction, exponent, sign = self.a[:10], self.a[10:15], self.a[15]
        # A subnormal's leading one, at bit n, becomes the hidden bit: value = 2**(n - 24) * 1.f.
        shifted, leading = Signal(10), Signal(4)
        for bit in range(10):
            with m.If(fraction[bit]):
                m.d.comb += [leading.eq(bit), shifted.eq((fraction << (10 - bit))[:10])]
        with m.If(exponent == 31):
            m.d.comb += self.y.eq(INVALID)
        with m.Elif(exponent != 0):
            m.d.comb += self.y.eq(Cat(Const(0, 13), fraction, (exponent + 112)[:8], sign))
        with m.Elif(fraction != 0):
            m.d.comb += self.y.eq(Cat(Const(0, 13), shifted, (leading + 103)[:8], sign))
        with m.Else():
            m.d.comb += self.y.eq(Mux(sign, 0x80000000, 0))
        return m
