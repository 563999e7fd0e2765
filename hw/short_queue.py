"""A queue in distributed memory whose two handshakes come from registers."""

from amaranth.hdl import Module, Mux, ShapeLike, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["ShortQueue"]


class ShortQueue(wiring.Component):
    """Hands on what it takes, in order. Whether there is an item, and room, are registers: nobody compares a level.

    ==========  ======================================================
    Computes    nothing, so there is no twin
    Latency     ``LATENCY`` cycle
    Throughput  one item per cycle
    Stall       the output stands still; nothing is taken while it is full
    ==========  ======================================================

    Parameters
    ----------
    shape : of an item.
    depth : items, at least 2.

    Members
    -------
    i, o : In(stream), Out(stream)
        `o.payload` is read from the memory in the same cycle.
    clear : In(1)
        Forgets what it holds.

    """

    LATENCY = 1

    def __init__(self, *, shape: ShapeLike, depth: int) -> None:
        if type(depth) is not int or depth < 2:
            raise ValueError(f"depth must be an integer of at least 2, not {depth!r}")
        self.depth = depth
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape)), "clear": In(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        item = Value.cast(self.i.payload)
        m.submodules.memory = memory = Memory(shape=len(item), depth=self.depth, init=[], attrs={"ram_style": "distributed"})
        write, read = memory.write_port(), memory.read_port(domain="comb")
        level, some, full, put, get = Signal(range(self.depth + 1)), Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(~full), self.o.valid.eq(some), put.eq(self.i.valid & ~full), get.eq(some & self.o.ready),
            write.en.eq(put), write.data.eq(item), Value.cast(self.o.payload).eq(read.data),
        ]
        for address, moves in ((write.addr, put), (read.addr, get)):
            with m.If(moves):
                m.d.sync += address.eq(Mux(address == self.depth - 1, 0, address + 1))
        with m.If(put != get):
            m.d.sync += [level.eq(level + Mux(get, -1, 1)), some.eq(~get | (level != 1)), full.eq(~get & (level == self.depth - 1))]
        with m.If(self.clear):
            m.d.sync += [signal.eq(0) for signal in (level, some, full, write.addr, read.addr)]
        return m
