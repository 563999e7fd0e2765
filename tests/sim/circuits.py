"""Little circuits whose resources are known."""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

__all__ = ["Adder", "Chain", "Datapath", "Primitives"]


class Primitives(wiring.Component):
    """One of everything: a multiplier that sums up, a table, a block RAM, an UltraRAM, and an adder of 16 bits."""

    def __init__(self):
        super().__init__({
            "a": In(signed(8)), "b": In(signed(17)), "first": In(1), "sum": Out(signed(48)), "write": In(1), "data": In(72),
            "to": In(12), "at": In(12), "table": Out(7), "block": Out(72), "ultra": Out(72), "x": In(16), "y": In(16), "z": Out(17),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        a, b, product = Signal.like(self.a), Signal.like(self.b), Signal(signed(25))
        first = Signal()
        m.d.sync += [a.eq(self.a), b.eq(self.b), product.eq(a * b), first.eq(self.first),
                     self.sum.eq(Mux(first, 0, self.sum) + product)]
        for name, depth, width, style, domain in (("table", 64, 7, "distributed", "comb"), ("block", 512, 72, "block", "sync"),
                                                  ("ultra", 4096, 72, "ultra", "sync")):
            memory = Memory(shape=unsigned(width), depth=depth, init=[], attrs={"ram_style": style})
            m.submodules[name] = memory
            write, read = memory.write_port(), memory.read_port(domain=domain)
            m.d.comb += [write.en.eq(self.write), write.addr.eq(self.to), write.data.eq(self.data), read.addr.eq(self.at),
                         getattr(self, name).eq(read.data)]
        m.d.sync += self.z.eq(self.x + self.y)
        return m


class Adder(wiring.Component):
    """`o` is the input a cycle later, `late` one more than that, with no register behind the sum."""

    def __init__(self, width: int = 8):
        super().__init__({"i": In(width), "o": Out(width), "late": Out(width)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.d.comb += self.late.eq(self.o + 1)
        m.d.sync += self.o.eq(self.i)
        return m


class Datapath(wiring.Component):
    """Two adders that are the same, and one that is not, one after the other."""

    def __init__(self):
        super().__init__({"i": In(8), "o": Out(8)})

    def elaborate(self, platform) -> Module:
        m = Module()
        value = self.i
        for name, width in (("one", 8), ("two", 8), ("wide", 9)):
            m.submodules[name] = part = Adder(width)
            m.d.comb += part.i.eq(value)
            value = part.late
        m.d.comb += self.o.eq(value)
        return m


class Chain(wiring.Component):
    """Such a datapath inside, as the accelerator has one, and a register behind an inverted copy of its result."""

    def __init__(self):
        super().__init__({"i": In(8), "o": Out(8)})

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.datapath = datapath = Datapath()
        m.submodules.front = front = Adder(8)
        m.d.comb += [front.i.eq(self.i), datapath.i.eq(front.o)]
        m.d.sync += self.o.eq(~datapath.o)
        return m
