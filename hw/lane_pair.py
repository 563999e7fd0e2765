"""The arithmetic of two adjacent columns of one row, from their operands to their results.

Every operation runs through the same chain: integer to float, two products, a sum. Where an operation has no
use for a step, the step gets an operand that changes nothing (a factor 1, an addend -0), so that only
operands are selected.
"""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from terntable.hw.float_add import FloatAdd
from terntable.hw.float_from_int import FloatFromInt
from terntable.hw.float_mul import FloatMul
from terntable.hw.float_to_int import FloatToInt
from terntable.hw.kernel import Kernel, register

__all__ = ["Control", "LanePair"]

#: x * 1 and x + -0 are x for every result of a float unit.
ONE, MINUS_ZERO = 0x3F800000, 0x80000000

SIGN = 1 << 31

#: What the operands of the steps are; see `LanePair`.
Control = data.StructLayout({"integer": 1, "square": 1, "turn": 1, "clip": 1, "scale": 1, "offset": 1,
                             "fold": 1, "bits16": 1})


class LanePair(Kernel):
    """Two lanes, which share the angle of a rotation.

    ============  =====================================================
    Computes      one word of a function of ``terntable.models.golden.lanes``
    Latency       ``LATENCY`` enabled clocks; ``other``, ``partial`` enter ``FloatAdd.LATENCY`` before the end
    Throughput    one per enabled clock
    Widths        float32 patterns; integers of 32 bits in, 16 bits out
    Stall         stands still while ``en`` is low
    ============  =====================================================

    The chain is ``first = a * factor; second = first * 1; y = second + -0``, changed by bits of ``control``:

    ============  =====================================================
    ``integer``   ``a`` is an integer
    ``square``    ``first = a * a``, ``y = second + partial``
    ``turn``      ``b`` is (cosine, sine): ``y = (a0 cos + a1 -sin, a1 cos + a0 sin)``
    ``clip``      ``first`` below 0 becomes 0, ``second = first * first``
    ``scale``     ``second = first * b``
    ``offset``    ``y = second + b``
    ``fold``      ``y = other + partial``
    ``bits16``    ``q`` is clamped to 16 bits, else to 8
    ============  =====================================================

    Members
    -------
    control : In(Control)
        The same for all words on their way, but for ``fold``.
    a, b : In(ArrayLayout(32, 2))
    factor : In(32)
        The same for all words on their way.
    other, partial : In(ArrayLayout(32, 2))
    y : Out(ArrayLayout(32, 2))
    q : Out(ArrayLayout(signed(16), 2))
        ``second`` as an integer.

    """

    LATENCY = FloatFromInt.LATENCY + 2 * FloatMul.LATENCY + FloatAdd.LATENCY

    def __init__(self):
        two = data.ArrayLayout(32, 2)
        super().__init__({
            "control": In(Control), "a": In(two), "b": In(two), "factor": In(32), "other": In(two),
            "partial": In(two), "y": Out(two), "q": Out(data.ArrayLayout(signed(16), 2)),
        })

    def pipeline(self, m: Module) -> None:
        control = self.control
        a_first = register(m, self.a, name="a_first", cycles=FloatFromInt.LATENCY)
        b_first = register(m, self.b, name="b_first", cycles=FloatFromInt.LATENCY)
        a_second = register(m, a_first, name="a_second", cycles=FloatMul.LATENCY)
        b_second = register(m, b_first, name="b_second", cycles=FloatMul.LATENCY)
        cosine, sine = b_first[0], b_second[1]

        for lane, turned_sine in enumerate((sine ^ SIGN, sine)):
            m.submodules[f"convert_{lane}"] = convert = FloatFromInt(width=32)
            m.submodules[f"first_{lane}"] = first = FloatMul()
            m.submodules[f"second_{lane}"] = second = FloatMul()
            m.submodules[f"add_{lane}"] = add = FloatAdd()
            m.submodules[f"to_int_{lane}"] = to_int = FloatToInt(width=16)
            # The pair's own `en` holds what is inside, too.
            m.d.comb += [kernel.en.eq(1) for kernel in (convert, first, second, add, to_int)]

            m.d.comb += [
                convert.a.eq(self.a[lane]),
                first.a.eq(Mux(control.integer, convert.y, a_first[lane])),
                first.b.eq(Mux(control.square, a_first[lane], Mux(control.turn, cosine, self.factor))),
            ]

            clipped = Signal(32, name=f"clipped_{lane}")
            side = Signal(32, name=f"side_{lane}")
            m.d.comb += [
                clipped.eq(Mux(control.clip & first.y[-1], 0, first.y)),
                second.a.eq(Mux(control.turn, a_second[1 - lane], clipped)),
                second.b.eq(Mux(control.turn, turned_sine, Mux(control.clip, clipped,
                                                               Mux(control.scale, b_second[lane], ONE)))),
                side.eq(Mux(control.turn, first.y, Mux(control.offset, b_second[lane], MINUS_ZERO))),
            ]
            side = register(m, side, name=f"side_{lane}_held", cycles=FloatMul.LATENCY)

            m.d.comb += [
                add.a.eq(Mux(control.fold, self.other[lane], second.y)),
                add.b.eq(Mux(control.square | control.fold, self.partial[lane], side)),
                self.y[lane].eq(add.y),
            ]

            clamped = Signal(signed(16), name=f"clamped_{lane}")
            m.d.comb += [
                to_int.a.eq(second.y),
                clamped.eq(Mux(control.bits16 | (~to_int.y[7:].any()) | to_int.y[7:].all(), to_int.y,
                               Mux(to_int.y < 0, -128, 127))),
                self.q[lane].eq(register(m, clamped, name=f"clamped_{lane}_held",
                                         cycles=FloatAdd.LATENCY - FloatToInt.LATENCY)),
            ]
