"""On-chip buffer of columns of all token rows."""

from amaranth.hdl import Cat, Module, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from terntable.hw.shapes import columns

__all__ = ["STYLES", "ColumnMemory"]

STYLES = ("auto", "distributed", "block", "ultra")


class ColumnMemory(wiring.Component):
    """`depth` words of `lanes` columns x `rows` rows.

    ==========  ======================================================
    Latency     1 cycle from `read_address` with `read_enable` to `read_data`, which then holds
    Throughput  one read and one write per cycle; a read beside a write to the same word gives the old word
    ==========  ======================================================

    Parameters
    ----------
    rows, lanes, width : token rows, columns of a word, bits of an item.
    depth : words.
    by_row : a memory for each row, so that a row can be written alone; else one memory, which packs better.
    style : what it is made of, "auto", "distributed", "block" or "ultra", in the words of vendor tools.

    Members
    -------
    write_rows : a bit for each row to write; without `by_row` any bit writes all rows.

    """

    LATENCY = 1

    def __init__(self, *, rows: int, lanes: int, width: int, depth: int, by_row: bool = True, style: str = "auto") -> None:
        for name, value in (("rows", rows), ("lanes", lanes), ("width", width), ("depth", depth)):
            if type(value) is not int or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        if style not in STYLES:
            raise ValueError(f"style must be one of {', '.join(STYLES)}, not {style!r}")
        self.rows, self.lanes, self.width, self.depth = rows, lanes, width, depth
        self.by_row, self.style = by_row, style
        address = max(1, (depth - 1).bit_length())
        word = columns(rows=rows, lanes=lanes, width=width)
        super().__init__({
            "read_enable": In(1), "read_address": In(address), "read_data": Out(word),
            "write_rows": In(rows), "write_address": In(address), "write_data": In(word),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        attrs = {} if self.style == "auto" else {"ram_style": self.style}
        share = 1 if self.by_row else self.rows                # rows of a memory
        for first in range(0, self.rows, share):
            rows = range(first, first + share)
            # One word would leave an address of no bits, which Verilog does not know.
            memory = Memory(shape=unsigned(share * self.lanes * self.width), depth=max(2, self.depth), init=[], attrs=attrs)
            m.submodules[f"row{first}"] = memory
            read, write = memory.read_port(), memory.write_port()
            m.d.comb += [
                read.en.eq(self.read_enable),
                read.addr.eq(self.read_address),
                write.en.eq(self.write_rows[first] if self.by_row else self.write_rows.any()),
                write.addr.eq(self.write_address),
                write.data.eq(Cat(self.write_data[lane][row] for row in rows for lane in range(self.lanes))),
            ]
            places = [(lane, row) for row in rows for lane in range(self.lanes)]
            for place, (lane, row) in enumerate(places):
                m.d.comb += self.read_data[lane][row].eq(read.data.word_select(place, self.width))
        return m
