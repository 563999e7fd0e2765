"""A buffer that is written a few columns at a time and read a beat of columns at a time."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["RegroupMemory"]


class RegroupMemory(wiring.Component):
    """One memory for each row; words of ``beat`` columns, written in groups of ``lanes`` columns.

    A write at the start of a word sets the rest of the word to zero, so a vector that is written from a
    word's start in ascending order, and ends inside a word, reads as padded with zeros.

    ============  =====================================================
    Computes      nothing, so there is no twin
    Latency       ``LATENCY`` cycle from ``read_word`` to ``read_data``; a write is read back if
                  ``read_word`` is set in a later cycle
    Throughput    one write and one read per cycle
    Widths        ``width`` bits an element, as written
    Stall         none; the surroundings hold ``read_word``
    ============  =====================================================

    Parameters
    ----------
    rows, lanes, beat : int
        Rows, columns of a write, columns of a read; ``lanes`` divides ``beat``, both powers of two.
    width : int
        Bits of an element with its sign.
    depth : int
        Columns to hold; rounded up to whole words.

    Members
    -------
    write_valid : In(1)
    write_column : In
        First column of the group, a multiple of ``lanes``.
    write_data : In(signed(width) x rows x lanes)
    read_word : In
        Columns ``read_word * beat`` and on.
    read_data : Out(signed(width) x beat x rows)

    """

    LATENCY = 1

    def __init__(self, *, rows: int, lanes: int, beat: int, width: int, depth: int):
        if rows < 1:
            raise ValueError(f"rows must be at least 1, not {rows!r}")
        for name, value in (("lanes", lanes), ("beat", beat)):
            if value < 1 or value & (value - 1):
                raise ValueError(f"{name} must be a power of two, not {value!r}")
        if beat < lanes:
            raise ValueError(f"beat must be at least lanes = {lanes}, not {beat!r}")
        if not 1 <= width <= 64:
            raise ValueError(f"width must be 1..64, not {width!r}")
        if depth < 1:
            raise ValueError(f"depth must be at least 1 column, not {depth!r}")
        self.rows, self.lanes, self.beat, self.width = rows, lanes, beat, width
        self.words = max(2, -(-depth // beat))    # an address has at least one bit
        super().__init__({
            "write_valid": In(1),
            "write_column": In(range(self.words * beat)),
            "write_data": In(data.ArrayLayout(data.ArrayLayout(signed(width), rows), lanes)),
            "read_word": In(range(self.words)),
            "read_data": Out(data.ArrayLayout(data.ArrayLayout(signed(width), beat), rows)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        lanes, groups = self.lanes, self.beat // self.lanes
        lane_bits, beat_bits = lanes.bit_length() - 1, self.beat.bit_length() - 1
        group = Value.cast(self.write_column)[lane_bits:beat_bits]
        enable = Signal(groups)
        m.d.comb += enable.eq(Mux(group == 0, -1, 1 << group) & self.write_valid.replicate(groups))
        for row in range(self.rows):
            m.submodules[f"row_{row}"] = memory = Memory(
                shape=data.ArrayLayout(signed(self.width), self.beat), depth=self.words, init=[])
            write, read = memory.write_port(granularity=lanes), memory.read_port()
            m.d.comb += [
                write.addr.eq(Value.cast(self.write_column)[beat_bits:]),
                write.en.eq(enable),
                read.addr.eq(self.read_word),
                self.read_data[row].eq(read.data),
            ]
            for column in range(self.beat):
                item = self.write_data[column % lanes][row]
                m.d.comb += write.data[column].eq(item if column < lanes else Mux(group == 0, 0, item))
        return m
