"""Sums of the head over the column words of a block of vocabulary rows, and the finished ones in a queue.

The arithmetic is defined by the head's twin, :mod:`terntable.models.golden.head`.
"""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from terntable.hw.kernel import delay, register

__all__ = ["STEP", "HeadSums", "sum_bits"]

#: What the sums of a beat are: of which vocabulary row of the block, and of its first or last column word.
STEP = {"valid": 1, "first": 1, "last": 1}


def sum_bits(inputs: int) -> int:
    """Bits, with the sign, of a sum of so many products of 16 and 8 bits."""
    return (inputs << 22).bit_length() + 1


class HeadSums(wiring.Component):
    """Adds up what the array puts out for each vocabulary row of a block, for all token rows at once.

    ============  =====================================================
    Computes      the integer sums of ``logits``
    Latency       ``LATENCY`` cycles from the last beat's sums to ``o.valid``
    Throughput    one beat per cycle
    Widths        sums cannot overflow
    Stall         none: whoever sends the beats sees to it that `depth` finished sums are enough
    ============  =====================================================

    Parameters
    ----------
    rows : token rows.
    block : vocabulary rows of a block, a power of two of at least 8.
    dot_bits : width of the array's sums.
    bits : width of the whole sums.
    depth : finished vocabulary rows that may wait, a power of two.

    Members
    -------
    low, high : In(signed(dot_bits) x rows)
        Sums over both halves of a beat.
    step : In(valid, first, last, place)
        What they belong to: place in the block, first and last beat of the vocabulary row.
    o : Out(stream of signed(bits) x rows)
        In the order of the vocabulary.

    """

    LATENCY = 3

    def __init__(self, *, rows: int, block: int, dot_bits: int, bits: int, depth: int) -> None:
        if block < 8 or block & (block - 1):
            raise ValueError(f"block must be a power of two of at least 8, not {block!r}")
        if depth < 1 or depth & (depth - 1):
            raise ValueError(f"depth must be a power of two, not {depth!r}")
        self.rows, self.block, self.bits, self.depth = rows, block, bits, depth
        dots = data.ArrayLayout(signed(dot_bits), rows)
        super().__init__({
            "low": In(dots), "high": In(dots),
            "step": In(data.StructLayout({**STEP, "place": range(block)})),
            "o": Out(stream.Signature(data.ArrayLayout(signed(bits), rows))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        word = data.ArrayLayout(signed(self.bits), self.rows)
        m.submodules.sums = sums = Memory(shape=word, depth=self.block, init=[], attrs={"ram_style": "distributed"})
        m.submodules.queue = queue = Memory(shape=word, depth=self.depth, init=[], attrs={"ram_style": "distributed"})
        # A place comes up again after a block's worth of beats, long after its sum is written.
        old, new = sums.read_port(), sums.write_port()
        added = delay(m, self.step, name="added")
        whole = delay(m, added, name="whole")
        total = Signal(word, reset_less=True)
        m.d.comb += [
            old.addr.eq(self.step.place), old.en.eq(1),
            new.addr.eq(whole.place), new.en.eq(whole.valid), new.data.eq(total),
        ]
        for row in range(self.rows):
            both = register(m, self.low[row] + self.high[row], name=f"both_{row}")
            m.d.sync += total[row].eq(both + Mux(added.first, 0, old.data[row]))

        write_place, read_place = Signal(range(self.depth)), Signal(range(self.depth))
        waiting = Signal(range(self.depth + 1))
        push, pop = Signal(), Signal()
        put, get = queue.write_port(), queue.read_port(domain="comb")
        m.d.comb += [
            push.eq(whole.valid & whole.last), pop.eq(self.o.valid & self.o.ready),
            put.addr.eq(write_place), put.en.eq(push), put.data.eq(total),
            get.addr.eq(read_place), self.o.payload.eq(get.data),
        ]
        m.d.sync += [write_place.eq(write_place + push), read_place.eq(read_place + pop), waiting.eq(waiting + push - pop)]
        with m.If(push):
            m.d.sync += self.o.valid.eq(1)
        with m.Elif(pop & (waiting == 1)):
            m.d.sync += self.o.valid.eq(0)
        return m
