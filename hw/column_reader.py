"""Streams consecutive words of a column memory."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["ColumnReader"]


class ColumnReader(wiring.Component):
    """Reads `words` words from word 0 on, one per cycle.

    ==========  ======================================================
    Latency     2 cycles from an accepted command to the first word
    Throughput  one word per cycle; a stalled output holds
    ==========  ======================================================

    Parameters
    ----------
    shape : shape of a memory word.
    depth : words of the memory.

    """

    LATENCY = 2

    def __init__(self, *, shape, depth: int) -> None:
        if type(depth) is not int or depth < 1:
            raise ValueError(f"depth must be a positive integer, not {depth!r}")
        self.depth = depth
        address = max(1, (depth - 1).bit_length())
        super().__init__({
            "command": In(stream.Signature(data.StructLayout({"words": depth.bit_length()}))),
            "read_enable": Out(1), "read_address": Out(address), "read_data": In(shape),
            "o": Out(stream.Signature(shape)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        left, address = Signal(self.depth.bit_length()), Signal(self.depth.bit_length())
        advance = Signal()
        m.d.comb += [
            self.command.ready.eq((left == 0) & ~self.o.valid),
            advance.eq(~self.o.valid | self.o.ready),
            self.read_enable.eq(advance & (left != 0)),
            self.read_address.eq(address),
            self.o.payload.eq(self.read_data),
        ]
        with m.If(self.command.valid & self.command.ready):
            m.d.sync += [left.eq(self.command.payload.words), address.eq(0)]
        with m.Elif(advance):
            m.d.sync += self.o.valid.eq(left != 0)
            with m.If(left != 0):
                m.d.sync += [address.eq(address + 1), left.eq(left - 1)]
        return m
