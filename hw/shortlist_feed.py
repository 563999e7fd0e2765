"""Brings the engine's sums of the shortlist and the scales of its rows to where logits are made of them."""

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from terntable.hw.axi_burst import REQUEST
from terntable.hw.kernel import delay, register
from terntable.hw.shapes import integers

__all__ = ["ShortlistFeed"]

#: Scales that may be on their way to the queue before the count of those in it knows of them.
ROOM_LAG = 3


class ShortlistFeed(wiring.Component):
    """Reads a scale for each vocabulary row, and hands over its sums once its scale is there.

    ==========  ======================================================
    Computes    nothing, so there is no twin
    Latency     ``LATENCY`` cycle from a word of sums to its first vocabulary row, when the scales are there
    Throughput  one vocabulary row per cycle, and a cycle more for a word of sums
    Stall       waits for sums, for scales, and for whoever takes them
    ==========  ======================================================

    Parameters
    ----------
    rows, outputs, beat_bytes : as in the configuration.
    sum_bits, bits : width of the engine's sums, and of those handed over.
    depth : scales that may wait for their sums.

    Members
    -------
    start, vocab, base : a pulse begins so many vocabulary rows, filled up to a whole word of sums; scales lie at `base`.
    request, i : their linear read, in wide beats.
    partial : words of the engine's sums.
    scale_valid, scale : the next vocabulary row's scale, before its sums.
    o : the sums of a vocabulary row.

    """

    LATENCY = 1

    def __init__(self, *, rows: int, outputs: int, beat_bytes: int, sum_bits: int, bits: int, depth: int) -> None:
        if type(depth) is not int or depth <= ROOM_LAG:
            raise ValueError(f"depth must be an integer above {ROOM_LAG}, not {depth!r}")
        if bits < sum_bits:
            raise ValueError(f"bits must be at least sum_bits = {sum_bits}, not {bits}")
        self.rows, self.outputs, self.beat_bytes, self.depth = rows, outputs, beat_bytes, depth
        self.sum_bits, self.bits = sum_bits, bits
        super().__init__({
            "start": In(1), "vocab": In(32), "base": In(64),
            "request": Out(stream.Signature(REQUEST)), "i": In(stream.Signature(8 * beat_bytes)),
            "partial": In(stream.Signature(integers(rows=rows, lanes=outputs, width=sum_bits))),
            "scale_valid": Out(1), "scale": Out(32),
            "o": Out(stream.Signature(data.ArrayLayout(signed(bits), rows))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        shift, lanes = exact_log2(self.outputs), self.beat_bytes // 4
        words, count = Signal(32), Signal(32)
        m.d.comb += [words.eq((self.vocab + self.outputs - 1) >> shift), count.eq(words << shift)]

        # Scales, lane by lane, while the queue has room for them.
        # `able`: scales are to be taken; `end`: the next one is its beat's last that counts. Registers, as `ready` is made of them.
        asking, left, able, last, end = Signal(), Signal(32), Signal(), Signal(), Signal()
        lane, ahead, room, take = Signal(range(lanes)), Signal(range(self.depth + 1)), Signal(), Signal()
        m.d.comb += [
            self.request.valid.eq(asking), self.request.payload.address.eq(self.base),
            self.request.payload.beats.eq((left + lanes - 1) >> exact_log2(lanes)),
            take.eq(self.i.valid & room & able), self.i.ready.eq(room & able & end),
            self.scale_valid.eq(delay(m, take, name="taken")),
            self.scale.eq(register(m, self.i.payload.word_select(lane, 32), name="scale")),
        ]
        with m.If(asking & self.request.ready):
            m.d.sync += [asking.eq(0), able.eq(1)]
        with m.If(take):
            m.d.sync += [lane.eq(lane + 1), left.eq(left - 1), able.eq(~last), last.eq(left == 2),
                         end.eq((left == 2) | (lane == (lanes - 2) % lanes))]
        # Scales that came before their sums, and whether there is one.
        some, taken = Signal(), Signal()
        m.d.comb += taken.eq(self.o.valid & self.o.ready)
        m.d.sync += [ahead.eq(ahead + self.scale_valid - taken), room.eq(ahead < self.depth - ROOM_LAG)]
        with m.If(self.scale_valid):
            m.d.sync += some.eq(1)
        with m.Elif(taken):
            m.d.sync += some.eq(ahead != 1)

        # A word of sums gives its vocabulary rows one after the other; rows go on from a register.
        row, last_row = Signal(range(self.outputs)), Signal(init=self.outputs == 1)
        held, full = Signal(data.ArrayLayout(signed(self.sum_bits), self.rows), reset_less=True), Signal()
        # A word is taken in the cycle after its last vocabulary row, as `ready` goes far.
        step, used = Signal(), Signal()
        m.d.comb += [
            self.o.valid.eq(full & some), *(self.o.payload[n].eq(held[n]) for n in range(self.rows)),
            step.eq(self.partial.valid & ~used & (~full | taken)), self.partial.ready.eq(used),
        ]
        m.d.sync += used.eq(step & last_row)
        with m.If(step):
            m.d.sync += [row.eq(row + 1), last_row.eq(row == (self.outputs - 2) % self.outputs), full.eq(1)]
            m.d.sync += [held[n].eq(Cat(self.partial.payload[v][n] for v in range(self.outputs)).word_select(row, self.sum_bits))
                         for n in range(self.rows)]
        with m.Elif(taken):
            m.d.sync += full.eq(0)

        with m.If(self.start):
            m.d.sync += [asking.eq(1), left.eq(count), last.eq(count == 1), end.eq((count == 1) | (lanes == 1)), lane.eq(0)]
        return m
