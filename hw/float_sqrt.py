"""Float32 square root, correctly rounded, one per cycle.

The arithmetic is defined by its twin, :func:`terntable.models.golden.float_sqrt.float_sqrt`.
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from terntable.hw.float_bits import BIAS, EXPONENT, LIMITS, add_if, round_pack
from terntable.hw.kernel import Kernel, register

__all__ = ["FloatSqrt"]

#: Root bits: 24 to keep and the half; two of them a stage.
BITS = 25
STAGE_BITS = 2


class FloatSqrt(Kernel):
    """``y = sqrt(a)``

    ============  =====================================================
    Computes      ``float_sqrt``
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

    LATENCY = 3 + (BITS + 1) // STAGE_BITS

    def __init__(self):
        super().__init__({"a": In(32), "y": Out(32)})

    def pipeline(self, m: Module) -> None:
        # Stage 1: in [1, 4), two bits before the point, so a is doubled where its true exponent is odd.
        raw, significand = self.a, Cat(self.a[:23], C(1, 1))
        exponent = raw[23:31]
        radicand = register(m, Mux(exponent[0], Cat(C(0, 1), significand, C(0, 1)), Cat(C(0, 2), significand)), name="radicand")
        Rest = data.StructLayout({"exponent": EXPONENT, "sign": 1, "zero": 1, "invalid": 1})
        rest = Signal(Rest)
        m.d.comb += [
            rest.exponent.eq((exponent + BIAS) >> 1),
            rest.sign.eq(raw[31]),
            rest.zero.eq(exponent == 0),
            rest.invalid.eq(exponent.all() | (raw[31] & (exponent != 0))),
        ]
        rest = register(m, rest, name="rest_held", cycles=self.LATENCY - 1)

        # Two bits of the radicand come down per bit of the root, as in the method on paper, but without restoring:
        # what is left, r, may be negative, and after root q it becomes 4r + pair - (4q + 1) or 4r + pair + (4q + 3),
        # which is 4r + pair - (4 ~q + 1).
        left, root, fits = C(0, 1), None, C(1, 1)
        for bit in range(BITS):
            after = Signal(bit + 3, name=f"left_{bit}")
            taken = C(1, 2) if root is None else Cat(C(1, 2), root ^ (~fits).replicate(bit), ~fits)
            m.d.comb += after.eq(Cat(radicand[-2:], left) - taken)
            left, fits = after, ~after[-1]
            root = fits if root is None else Cat(fits, root)
            radicand = Cat(C(0, 2), radicand[:-2])
            if bit % STAGE_BITS == STAGE_BITS - 1 or bit == BITS - 1:
                left = register(m, left, name=f"left_{bit}_held")
                root = register(m, root, name=f"root_{bit}")
                radicand = register(m, radicand, name=f"radicand_{bit}")
                fits = root[0]

        # The stage before the last: what is really left over only counts as being something.
        remainder = add_if(left, Cat(C(1, 1), root), ~fits, width=BITS + 2)
        digits = register(m, Cat(remainder.any(), root), name="digits")

        # Last stage: no root is out of range.
        y = round_pack(m, rest.sign, rest.exponent, digits, zero=rest.zero, invalid=rest.invalid, limits=Signal(LIMITS))
        m.d.comb += self.y.eq(register(m, y, name="y_held"))
