"""Float32 sum and difference, correctly rounded.

The arithmetic is defined by its twin, :func:`terntable.models.golden.float_add.float_add`.
"""

from amaranth.hdl import Array, C, Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from terntable.hw.float_bits import (
    EXPONENT,
    add_or_subtract,
    normalise_coarse,
    normalise_fine,
    round_pack,
    used_bytes,
)
from terntable.hw.kernel import Kernel, register

__all__ = ["FloatAdd"]

#: Bits below the 24 of the significand while adding: half, quarter, and one that gathers the rest.
GUARD = 3

#: What is known of the result beside its digits.
REST = data.StructLayout({"exponent": 8, "sign": 1, "opposite": 1})


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

    LATENCY = 6

    def __init__(self):
        super().__init__({"a": In(32), "b": In(32), "sub": In(1), "y": Out(32)})

    def pipeline(self, m: Module) -> None:
        # Stage 1: the operand of larger magnitude goes first; patterns order as integers.
        swap, opposite = Signal(), Signal()
        m.d.comb += [swap.eq(self.b[:31] > self.a[:31]), opposite.eq(self.a[31] ^ self.b[31] ^ self.sub)]
        large, small = Mux(swap, self.b, self.a), Mux(swap, self.a, self.b)
        ahead, behind = Signal(8), Signal(8)
        m.d.comb += [ahead.eq(self.a[23:31] - self.b[23:31]), behind.eq(self.b[23:31] - self.a[23:31])]
        distance = register(m, Mux(swap, behind, ahead), name="distance")
        fraction = register(m, large[:23], name="fraction")
        there = small[23:31].any()    # a subnormal is zero
        added = register(m, Mux(there, Cat(small[:23], C(1, 1)), 0), name="added")
        rest = Signal(REST, name="rest", reset_less=True)
        m.d.sync += [
            rest.exponent.eq(large[23:31]),
            rest.sign.eq(Mux(swap, self.b[31] ^ self.sub, self.a[31])),
            rest.opposite.eq(opposite),
        ]

        # Stage 2: bring the smaller near the exponent of the larger, in two steps, and note whether a one falls off.
        # Past 31 places nothing else is left.
        value = Cat(C(0, GUARD - 1), added)
        coarse = (value >> Cat(C(0, 3), distance[3:5]))[:len(value)]
        near = (coarse >> Cat(C(0, 1), distance[1:3]))[:len(value)]
        far = distance[5:].any()
        lost = [Array([0, *(part[:step * n].any() for n in range(1, 4))])[place]
                for part, step, place in ((value, 8, distance[3:5]), (coarse, 2, distance[1:3]))]
        aligned = register(m, Mux(far, 0, near), name="aligned")
        lost = register(m, Cat(Mux(far, added[-1], lost[0]), lost[1]), name="lost")
        odd = register(m, distance[0], name="odd")
        wide = register(m, Cat(C(0, GUARD), fraction, rest.exponent != 0), name="wide")
        rest = register(m, rest, name="rest_2")

        # Stage 3: the last place, then add or take off.
        other = Cat(lost.any() | (odd & aligned[0]), Mux(odd, aligned[1:], aligned))
        total = add_or_subtract(wide, other, rest.opposite, width=25 + GUARD)
        total, used = register(m, total, name="total"), register(m, used_bytes(total), name="used")
        rest = register(m, rest, name="rest_3")

        # Stages 4 and 5: the leading one to the top, which stands for twice the larger's exponent.
        coarse, skipped = normalise_coarse(m, total, used, name="coarse")
        zero = register(m, ~used.any(), name="zero")
        coarse = register(m, coarse, name="coarse_held")
        skipped = register(m, skipped, name="skipped")
        rest = register(m, rest, name="rest_4")

        fine, zeros = normalise_fine(m, coarse, name="fine")
        exponent = Signal(EXPONENT)
        m.d.comb += exponent.eq(rest.exponent + 1 - Cat(zeros, skipped))
        fine = register(m, fine, name="fine_held")
        last = register(m, zeros[0], name="last_place")
        exponent = register(m, exponent, name="exponent")
        # Equal numbers of opposite sign give +0; zeros of one sign keep it. If the larger is subnormal, both are zero.
        none = zero | (rest.exponent == 0)
        sign = register(m, rest.sign & ~(none & rest.opposite), name="sign")
        zero = register(m, none, name="zero_held")
        invalid = register(m, rest.exponent.all(), name="invalid")

        # Stage 6
        significand = Signal(25 + GUARD)
        m.d.comb += significand.eq(Mux(last, fine << 1, fine))
        y = round_pack(m, sign, exponent, significand, zero=zero, invalid=invalid)
        m.d.comb += self.y.eq(register(m, y, name="y_held"))
