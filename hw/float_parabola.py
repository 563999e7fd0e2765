"""A function on one binade from a table of parabolas, in fixed point.

The arithmetic is defined by its twin, :func:`terntable.models.golden.float_parabola.float_parabola`.
"""

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from terntable.hw.kernel import Kernel, register
from terntable.hw.spec.float_tables import SEGMENT_BITS, VALUE_BITS, Parabolas

__all__ = ["FloatParabola"]


class FloatParabola(Kernel):
    """``y = c0 + (c1 + c2 * u) * u`` in the segment that ``x`` is in

    ============  =====================================================
    Computes      ``float_parabola``
    Latency       ``LATENCY`` enabled clocks
    Throughput    one per enabled clock
    Widths        ``x``: a fraction; ``y``: 1 to 2 with 28 fraction bits
    Stall         stands still while ``en`` is low
    ============  =====================================================

    Parameters
    ----------
    table : Parabolas
        All values from 1 up to and with 2.

    Members
    -------
    x : In(8 + table.place_bits)
    y : Out(30)

    """

    LATENCY = 6

    def __init__(self, *, table: Parabolas):
        if len(table.coefficients) != 1 << SEGMENT_BITS:
            raise ValueError(f"table must have {1 << SEGMENT_BITS} segments, not {len(table.coefficients)}")
        if not 1 <= table.place_bits <= 24:
            raise ValueError(f"table.place_bits must be 1..24, not {table.place_bits}")
        self.table = table
        super().__init__({"x": In(SEGMENT_BITS + table.place_bits), "y": Out(VALUE_BITS + 2)})

    def pipeline(self, m: Module) -> None:
        bits = self.table.place_bits

        # Stages 1 and 2: the segment, and the output register of its memory. Each coefficient is as wide as needed.
        widths = [max(value.bit_length() for value in column) + 1
                  for column in zip(*self.table.coefficients, strict=True)]
        Row = data.StructLayout({f"c{n}": signed(width) for n, width in enumerate(widths)})
        m.submodules.table = memory = Memory(
            shape=Row, depth=len(self.table.coefficients), attrs={"ram_style": "block"},
            init=[{"c0": c0, "c1": c1, "c2": c2} for c0, c1, c2 in self.table.coefficients])
        read = memory.read_port()
        m.d.comb += read.addr.eq(self.x[bits:])
        row = register(m, read.data, name="row")
        place = register(m, self.x[:bits], name="place", cycles=2)

        # Stages 3 and 4: the mean slope up to this place, which lies between c1 and c1 + c2. Products have a register of
        # their own.
        bend = register(m, row.c2 * place, name="bend")
        steepest = max(max(abs(c1), abs(c1 + c2)) for _, c1, c2 in self.table.coefficients)
        slope = Signal(signed(steepest.bit_length() + 2))
        m.d.comb += slope.eq(register(m, row.c1, name="c1") + bend[bits:].as_signed())
        slope = register(m, slope, name="slope_held")
        place = register(m, place, name="place_held", cycles=2)
        start = register(m, row.c0, name="start", cycles=3)

        # Stages 5 and 6
        product = register(m, slope * place, name="product")
        y = Signal.like(self.y)
        m.d.comb += y.eq(start + product[bits:].as_signed())
        m.d.comb += self.y.eq(register(m, y, name="y_held"))
