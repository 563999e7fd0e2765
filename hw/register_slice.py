"""Two registers in a stream, so that no path leads through it in either direction."""

from amaranth.hdl import Module, Mux, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["RegisterSlice"]


class RegisterSlice(wiring.Component):
    """Hands on what it takes; `valid`, `ready` and payload are registers.

    ==========  ======================================================
    Computes    nothing, so there is no twin
    Latency     ``LATENCY`` cycle
    Throughput  one item per cycle
    Stall       an item more is taken after the output stalls, and waits in the second register
    ==========  ======================================================

    Parameters
    ----------
    shape : of an item.

    Members
    -------
    i, o : In(stream), Out(stream)
    clear : In(1)
        Forgets what it holds.

    """

    LATENCY = 1

    def __init__(self, *, shape: ShapeLike) -> None:
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape)), "clear": In(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        spare, full, ready = Signal.like(self.i.payload, reset_less=True), Signal(), Signal(init=1)
        held = Signal.like(self.o.payload, reset_less=True)
        m.d.comb += [self.i.ready.eq(ready), self.o.valid.eq(full), self.o.payload.eq(held)]
        with m.If(ready):
            m.d.sync += spare.eq(self.i.payload)
        with m.If(~full | self.o.ready):
            m.d.sync += [held.eq(Mux(ready, self.i.payload, spare)), full.eq(self.i.valid | ~ready), ready.eq(1)]
        with m.Elif(self.i.valid):
            m.d.sync += ready.eq(0)
        with m.If(self.clear):
            m.d.sync += [full.eq(0), ready.eq(1)]
        return m
