"""Float32 sum and difference, correctly rounded.

The arithmetic is defined by its twin, :func:`terntable.models.golden.float_add.float_add`.
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from terntable.hw.float_bits import EXPONENT, normalise, round_pack, shift_right_sticky, unpack
from terntable.hw.kernel import Kernel

__all__ = ["FloatAdd"]

#: Bits below the 24 of the significand while adding: half, quarter, and one that gathers the rest.
GUARD = 3


class FloatAdd(Kernel):
    """``y = a - b if sub else a + b``

    ============  =====================================================
    Computes      ``float_sub`` if ``sub``, else ``float_add``
    Latency       ``LATENCY`` enabled clocks
    Throughput    one per enabled clock
    Widths        float32 patterns
    Stall         stands still while ``en`` is low
    ============  =====================================================

    Members
    -------
    a, b : In(32)
    sub : In(1)
        Subtract. Left unconnected: add.
    y : Out(32)

    """

    LATENCY = 4

    def __init__(self):
        super().__init__({"a": In(32), "b": In(32), "sub": In(1), "y": Out(32)})

    def pipeline(self, m: Module) -> None:
        # Stage 1: the operand of larger magnitude goes first; patterns order as integers.
        a = unpack(m, self.a, name="a")
        b = unpack(m, self.b ^ (self.sub << 31), name="b")
        swap = Signal()
        m.d.comb += swap.eq(self.b[:31] > self.a[:31])
        large, small = Signal.like(a, reset_less=True), Signal.like(a, reset_less=True)
        m.d.sync += large.eq(Mux(swap, b, a))
        m.d.sync += small.eq(Mux(swap, a, b))

        # Stage 2: bring the smaller to the exponent of the larger, then add or take off.
        distance, amount = Signal(8), Signal(5)
        m.d.comb += [
            distance.eq(large.exponent - small.exponent),
            amount.eq(Mux(distance > 31, 31, distance)),    # 27 bits: 31 places leave only the sticky bit
        ]
        aligned = shift_right_sticky(m, Cat(C(0, GUARD), small.significand), amount, name="aligned")
        wide = Cat(C(0, GUARD), large.significand)
        opposite = large.sign ^ small.sign
        Stage2 = data.StructLayout({"sum": 25 + GUARD, "exponent": 8, "sign": 1, "opposite": 1, "invalid": 1})
        added = Signal(Stage2, reset_less=True)
        m.d.sync += [
            added.sum.eq(Mux(opposite, wide - aligned, wide + aligned)),
            added.exponent.eq(large.exponent),
            added.sign.eq(large.sign),
            added.opposite.eq(opposite),
            added.invalid.eq(large.invalid | small.invalid),
        ]

        # Stage 3: bring the leading one to the top, which stands for twice the larger's exponent.
        shifted, zeros = normalise(m, added.sum, name="sum")
        Stage3 = data.StructLayout({"significand": 25 + GUARD, "exponent": EXPONENT, "sign": 1, "zero": 1,
                                    "invalid": 1})
        normal = Signal(Stage3, reset_less=True)
        m.d.sync += [
            normal.significand.eq(shifted),
            normal.exponent.eq(added.exponent + 1 - zeros),
            # Equal numbers of opposite sign give +0; zeros of one sign keep it.
            normal.zero.eq(added.sum == 0),
            normal.sign.eq(added.sign & ~((added.sum == 0) & added.opposite)),
            normal.invalid.eq(added.invalid),
        ]

        # Stage 4
        m.d.sync += self.y.eq(round_pack(m, normal.sign, normal.exponent, normal.significand,
                                         zero=normal.zero, invalid=normal.invalid))
