"""Signed integer to float32, correctly rounded.

The arithmetic is defined by its twin, :func:`terntable.models.golden.float_from_int.float_from_int`.
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal, signed
from amaranth.lib.wiring import In, Out

from terntable.hw.float_bits import BIAS, EXPONENT, normalise, round_pack
from terntable.hw.kernel import Kernel, register
from terntable.hw.spec.numbers import ACC_BITS

__all__ = ["FloatFromInt"]


class FloatFromInt(Kernel):
    """``y = float(a)``

    ============  =====================================================
    Computes      ``float_from_int``
    Latency       ``LATENCY`` enabled clocks
    Throughput    one per enabled clock
    Widths        signed integer of ``width`` bits to a float32 pattern
    Stall         stands still while ``en`` is low
    ============  =====================================================

    Parameters
    ----------
    width : int
        Bits of ``a`` with its sign, 2 to ACC_BITS (48).

    Members
    -------
    a : In(signed(width))
    y : Out(32)

    """

    LATENCY = 3

    def __init__(self, *, width: int = 32):
        if not 2 <= width <= ACC_BITS:
            raise ValueError(f"width must be 2..{ACC_BITS}, not {width!r}")
        self.width = width
        super().__init__({"a": In(signed(width)), "y": Out(32)})

    def pipeline(self, m: Module) -> None:
        # Stage 1: |-2**(width-1)| still fits width bits when these are unsigned.
        magnitude = Signal(self.width)
        m.d.comb += magnitude.eq(Mux(self.a < 0, -self.a, self.a))
        magnitude = register(m, magnitude, name="magnitude_held")
        sign = register(m, self.a < 0, name="sign")

        # Stage 2: the leading one to the top; a narrow integer is filled up to what rounding expects.
        fill = max(0, 26 - self.width)
        shifted, zeros = normalise(m, magnitude, name="magnitude")
        significand = register(m, Cat(C(0, fill), shifted), name="significand")
        exponent = Signal(EXPONENT)
        m.d.comb += exponent.eq(BIAS + self.width - 1 - zeros)
        exponent = register(m, exponent, name="exponent_held")
        zero = register(m, magnitude == 0, name="zero")
        sign = register(m, sign, name="sign_held")

        # Stage 3
        m.d.sync += self.y.eq(round_pack(m, sign, exponent, significand, zero=zero, invalid=C(0, 1)))
