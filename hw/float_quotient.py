"""Float32 quotient, correctly rounded, one per cycle: where many divisions share a divider.

The arithmetic is defined by its twin, :func:`terntable.models.golden.float_divide.float_divide`.
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from terntable.hw.float_bits import BIAS, EXPONENT, add_if, add_or_subtract, exponent_limits, round_pack
from terntable.hw.kernel import Kernel, register

__all__ = ["FloatQuotient"]

#: Quotient bits: 24 to keep, the half, and one lost when the quotient is below 1; two of them a stage.
BITS = 26
STAGE_BITS = 2


class FloatQuotient(Kernel):
    """``y = a / b``

    ============  =====================================================
    Computes      ``float_divide``
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

    LATENCY = 3 + BITS // STAGE_BITS

    def __init__(self):
        super().__init__({"a": In(32), "b": In(32), "y": Out(32)})

    def pipeline(self, m: Module) -> None:
        # Stage 1
        a = register(m, self.a, name="a_held")
        b = register(m, self.b, name="b_held")
        Rest = data.StructLayout({"exponent": EXPONENT, "sign": 1, "zero": 1, "invalid": 1})
        rest = Signal(Rest)
        m.d.comb += [
            rest.exponent.eq(a[23:31] - b[23:31] + BIAS - 1),
            rest.sign.eq(a[31] ^ b[31]),
            rest.zero.eq(a[23:31] == 0),
            rest.invalid.eq(a[23:31].all() | b[23:31].all() | (b[23:31] == 0)),
        ]
        rest = register(m, rest, name="rest_held", cycles=self.LATENCY - 3)
        limits = register(m, exponent_limits(m, rest.exponent, name="limits"), name="limits_held")
        rest = register(m, rest, name="rest_at_end")

        # Without restoring: what is left may be negative, and the divisor is then added instead of taken off. Only the
        # dividend itself is not doubled.
        divisor, left = Cat(b[:23], C(1, 1)), Cat(a[:23], C(1, 1))
        quotient = fits = C(1, 1)
        for bit in range(BITS):
            after = Signal(25, name=f"left_{bit}")
            doubled = Cat(C(0, 1), left[:24])
            m.d.comb += after.eq(add_or_subtract(doubled, divisor, fits, width=25) if bit else left - divisor)
            left, fits = after, ~after[-1]
            quotient = Cat(fits, quotient) if bit else fits
            if bit % STAGE_BITS == STAGE_BITS - 1:
                left = register(m, left, name=f"left_{bit}_held")
                quotient = register(m, quotient, name=f"quotient_{bit}")
                divisor = register(m, divisor, name=f"divisor_{bit}")
                fits = quotient[0]

        # The stage before the last: what is really left over only counts as being something.
        remainder = add_if(left, divisor, ~fits, width=25)
        digits = register(m, Cat(remainder.any(), quotient), name="digits")

        # Last stage: the quotient of two numbers in [1, 2) is in (1/2, 2); its first bit counts 1.
        high = digits[-1]
        y = round_pack(m, rest.sign, rest.exponent, Mux(high, digits, digits << 1)[:len(digits)],
                       zero=rest.zero, invalid=rest.invalid, limits=limits, more=high)
        m.d.comb += self.y.eq(register(m, y, name="y_held"))
