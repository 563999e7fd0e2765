"""Negative powers of two in fixed point, by table and straight lines.

The arithmetic is defined by its twin, :func:`terntable.models.golden.exp2.exp2_negative`.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from terntable.hw.kernel import Kernel, register
from terntable.hw.spec.exp2 import EXTRA_BITS, SEGMENT_BITS, SLOPE_BITS, exp2_table
from terntable.hw.spec.numbers import EXP_FRACTION_BITS, EXP_INPUT_BITS

__all__ = ["Exp2"]

#: Bits of the whole part that the first of two stages divides by.
FINE = 3


class Exp2(Kernel):
    """``y = 2**16 * 2**(-x / 2**16)``, within 0.6

    ============  =====================================================
    Computes      ``exp2_negative``
    Latency       ``LATENCY`` enabled clocks
    Throughput    one per enabled clock
    Widths        ``x``: 5 bits before, 16 after the binary point; ``y``: 1 before, 16 after
    Stall         stands still while ``en`` is low
    ============  =====================================================

    Members
    -------
    x : In(21)
    y : Out(17)

    """

    LATENCY = 5

    def __init__(self):
        super().__init__({"x": In(EXP_INPUT_BITS), "y": Out(EXP_FRACTION_BITS + 1)})

    def pipeline(self, m: Module) -> None:
        place_bits = EXP_FRACTION_BITS - SEGMENT_BITS
        line_bits = EXP_FRACTION_BITS + EXTRA_BITS + 1
        Segment = data.StructLayout({"point": line_bits, "fall": SLOPE_BITS})
        table = [{"point": point, "fall": fall} for point, fall in exp2_table()]

        # Stage 1: the segment.
        m.submodules.table = memory = Memory(shape=Segment, depth=1 << SEGMENT_BITS, init=table)
        read = memory.read_port()
        m.d.comb += read.addr.eq(self.x[place_bits:EXP_FRACTION_BITS])
        place = register(m, self.x[:place_bits], name="place")
        whole = register(m, self.x[EXP_FRACTION_BITS:], name="whole")

        # Stages 2 and 3: down the line.
        fall = register(m, read.data.fall * place, name="fall")
        point = register(m, read.data.point, name="point")
        line = Signal(line_bits)
        m.d.comb += line.eq(point - (fall >> place_bits))
        line = register(m, line, name="line_held")
        whole = register(m, whole, name="whole_held", cycles=2)

        # Stages 4 and 5: divide by 2**whole and drop the extra bits, rounding halves up.
        near = register(m, (line >> (EXTRA_BITS - 1)) >> whole[:FINE], name="near")
        shifted = Signal(line_bits - EXTRA_BITS + 1)
        m.d.comb += shifted.eq(near >> (register(m, whole[FINE:], name="coarse") << FINE))
        m.d.sync += self.y.eq((shifted + 1) >> 1)
