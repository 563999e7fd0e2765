"""Signed integer to float32, correctly rounded.

The arithmetic is defined by its twin, :func:`terntable.models.golden.float_from_int.float_from_int`.
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal, signed
from amaranth.lib.wiring import In, Out

from terntable.hw.float_bits import BIAS, EXPONENT, LIMITS, normalise_coarse, normalise_fine, round_pack, used_bytes
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

    LATENCY = 4

    def __init__(self, *, width: int = 32):
        if not 2 <= width <= ACC_BITS:
            raise ValueError(f"width must be 2..{ACC_BITS}, not {width!r}")
        self.width = width
        super().__init__({"a": In(signed(width)), "y": Out(32)})

    def pipeline(self, m: Module) -> None:
        # Stage 1: |-2**(width-1)| still fits width bits when these are unsigned.
        magnitude, sign = Signal(self.width), self.a[-1]
        m.d.comb += magnitude.eq((self.a ^ sign.replicate(self.width)) + sign)
        # A narrow integer is filled up to what rounding expects.
        magnitude = Cat(C(0, max(0, 26 - self.width)), magnitude)
        magnitude, used = register(m, magnitude, name="magnitude_held"), register(m, used_bytes(magnitude), name="used")
        sign = register(m, sign, name="sign")

        # Stages 2 and 3: the leading one to the top.
        coarse, skipped = normalise_coarse(m, magnitude, used, name="coarse")
        coarse = register(m, coarse, name="coarse_held")
        skipped = register(m, skipped, name="skipped")
        zero = register(m, ~used.any(), name="zero")
        sign = register(m, sign, name="sign_held")

        fine, zeros = normalise_fine(m, coarse, name="fine")
        exponent = Signal(EXPONENT)
        m.d.comb += exponent.eq(BIAS + self.width - 1 - Cat(zeros, skipped))
        fine = register(m, fine, name="fine_held")
        last = register(m, zeros[0], name="last_place")
        exponent = register(m, exponent, name="exponent_held")
        zero = register(m, zero, name="zero_held")
        sign = register(m, sign, name="sign_at_end")

        # Stage 4
        significand = Signal(len(fine))
        m.d.comb += significand.eq(Mux(last, fine << 1, fine))
        # No integer is out of range.
        y = round_pack(m, sign, exponent, significand, zero=zero, invalid=C(0, 1), limits=Signal(LIMITS))
        m.d.comb += self.y.eq(register(m, y, name="y_held"))
