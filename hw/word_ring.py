"""A ring of words that are written at their places and read in order."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from terntable.hw.register_slice import RegisterSlice

__all__ = ["STYLES", "WordRing"]

#: Kinds of memory that a ring can ask the tools for; None leaves the choice to them.
STYLES = (None, "block", "ultra")


class WordRing(wiring.Component):
    """One memory with a write port and a read port, and a register slice behind it.

    ============  =====================================================
    Computes      nothing, so there is no twin
    Latency       ``LATENCY`` cycles from `arrived` to ``o.valid``
    Throughput    one part written and one word read per cycle
    Stall         `o` stands still; the memory stops a cycle later
    ============  =====================================================

    Parameters
    ----------
    width : bits of a word.
    parts : parts of a word that are written one by one.
    depth : words, at least 2.
    style : "block" or "ultra" for block RAM or UltraRAM, None for what the tools choose.

    Members
    -------
    write_parts : a bit for each part to write.
    arrived : In(1)
        One more word is complete, after all before it; it was written in an earlier cycle.
    o : Out(stream)
    read : Out(1)
        A word leaves the memory; its place is free.
    level : Out
        Complete words in the memory.
    clear : In(1)
        Forgets all words; the next is at place 0.

    """

    LATENCY = 3

    def __init__(self, *, width: int, parts: int, depth: int, style: str | None = None):
        if type(depth) is not int or depth < 2:
            raise ValueError(f"depth must be an integer of at least 2, not {depth!r}")
        if style not in STYLES:
            raise ValueError(f"style must be one of {', '.join(map(repr, STYLES))}, not {style!r}")
        self.width, self.parts, self.depth, self.style = width, parts, depth, style
        super().__init__({
            "write_parts": In(parts), "write_place": In(range(depth)), "write_data": In(width),
            "arrived": In(1), "clear": In(1), "read": Out(1), "level": Out(range(depth + 1)),
            "o": Out(stream.Signature(unsigned(width))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.memory = memory = Memory(
            shape=unsigned(self.width), depth=self.depth, init=[], attrs={"ram_style": self.style} if self.style else {})
        write = memory.write_port(granularity=self.width // self.parts)
        read = memory.read_port()
        m.submodules.slice = out = RegisterSlice(shape=unsigned(self.width))
        place, fetched, some, last = Signal(range(self.depth)), Signal(), Signal(), Signal()
        wiring.connect(m, out.o, wiring.flipped(self.o))
        m.d.comb += [
            write.en.eq(self.write_parts), write.addr.eq(self.write_place), write.data.eq(self.write_data),
            # A word that was fetched stays in the memory's own output until the slice takes it.
            out.i.valid.eq(fetched), out.i.payload.eq(read.data), out.clear.eq(self.clear),
            read.en.eq(out.i.ready | ~fetched), read.addr.eq(place),
            some.eq(self.level != 0), self.read.eq(read.en & some),
            last.eq(place == self.depth - 1),
        ]
        with m.If(self.arrived != self.read):
            m.d.sync += self.level.eq(self.level + Mux(self.arrived, 1, -1))
        with m.If(self.read):
            m.d.sync += place.eq(Mux(last, 0, place + 1))
        with m.If(read.en):
            m.d.sync += fetched.eq(some)
        with m.If(self.clear):
            m.d.sync += [self.level.eq(0), place.eq(0), fetched.eq(0)]
        return m
