"""Full logits to memory, a block of the vocabulary at a time, for the rows that want them."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from terntable.hw.axi_burst import REQUEST
from terntable.hw.head_logits import LOGIT
from terntable.hw.kernel import delay, register

__all__ = ["LogitWriter"]


class LogitWriter(wiring.Component):
    """Collects a block of logits of all rows, and writes it row by row while the next one is collected.

    ============  =====================================================
    Computes      nothing, so there is no twin: memory[base + r x stride + 4 v] = logit of vocabulary row v
    Latency       3 cycles from a block's last logit to its first request
    Throughput    collecting: one logit per cycle, and a cycle per block; writing: a beat for every ``beat_bytes`` / 4 + 2
                  cycles, 2 more for each row and 1 for each block
    Stall         takes no logit of a block while that before the last is still being written, and none after the last one until
                  all are written
    ============  =====================================================

    Parameters
    ----------
    rows : int
        Token rows.
    beat_bytes : int
        Bytes of a beat, a power of two of at least 8.
    block : int
        Vocabulary rows of a block, a power of two of at least ``beat_bytes`` / 4.

    Members
    -------
    i : In(stream of LOGIT)
        Vocabulary row by vocabulary row; ``end`` is on the last token row of each. The logit with ``last`` fills up a beat;
        after it the next vocabulary begins.
    enable : In(rows)
        Rows to write.
    base, stride : In(64), In(32)
        Address of row 0, and bytes from a row to the next; multiples of ``beat_bytes``. These three inputs
        stay as they are while busy.
    request : Out(stream of REQUEST)
    o : Out(stream)
        The beats of each request, offered once it is accepted.
    busy : Out(1)
        From the first accepted logit until the last beat is taken.

    """

    def __init__(self, *, rows: int, beat_bytes: int, block: int = 64) -> None:
        if type(rows) is not int or rows < 1:
            raise ValueError(f"rows must be a positive integer, not {rows!r}")
        if beat_bytes < 8 or beat_bytes & (beat_bytes - 1):
            raise ValueError(f"beat_bytes must be a power of two of at least 8, not {beat_bytes!r}")
        if block < beat_bytes // 4 or block & (block - 1):
            raise ValueError(f"block must be a power of two of at least beat_bytes / 4 = {beat_bytes // 4}, not {block!r}")
        self.rows, self.beat_bytes, self.block = rows, beat_bytes, block
        super().__init__({
            "i": In(stream.Signature(LOGIT)),
            "enable": In(rows), "base": In(64), "stride": In(32),
            "request": Out(stream.Signature(REQUEST)),
            "o": Out(stream.Signature(8 * beat_bytes)),
            "busy": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        lanes = self.beat_bytes // 4
        row_bits, place_bits = max(1, (self.rows - 1).bit_length()), max(1, (self.block - 1).bit_length())
        m.submodules.memory = memory = Memory(shape=32, depth=2 << (row_bits + place_bits), init=[])
        write, read = memory.write_port(), memory.read_port()

        # Two banks: one collects while the other, if it is full, is written.
        collecting, writing, full = Signal(), Signal(), Signal(2)
        counts = [Signal(range(self.block // lanes + 1), name=f"beats_{bank}") for bank in range(2)]
        place, last_place, last, taken, whole, emptied = Signal(place_bits), Signal(), Signal(), Signal(), Signal(), Signal()
        item = self.i.payload
        m.d.comb += [
            taken.eq(self.i.valid & self.i.ready),
            whole.eq(taken & item.end & (item.last | last_place)),
            write.addr.eq(Cat(place, item.row[:row_bits], collecting)), write.data.eq(item.logit), write.en.eq(taken),
        ]
        m.d.sync += self.i.ready.eq(~full.bit_select(collecting, 1) & ~last & ~whole)
        with m.If(whole):
            m.d.sync += collecting.eq(~collecting)
        # The block is handed over a cycle later, which keeps what the logit's arrival decides short.
        closed, bank_closed, both = delay(m, whole, name="closed"), register(m, collecting, name="bank_closed"), Signal()
        beats_closed = register(m, (place >> exact_log2(lanes)) + 1, name="beats_closed")
        m.d.comb += both.eq(full.all() | closed)
        with m.If(closed):
            m.d.sync += [place.eq(0), last_place.eq(0)]
        with m.Elif(taken & item.end):
            m.d.sync += [place.eq(place + 1), last_place.eq(place == self.block - 2), last.eq(item.last)]
        for bank, count in enumerate(counts):
            with m.If(closed & (bank_closed == bank)):
                m.d.sync += [full[bank].eq(1), count.eq(beats_closed)]
            with m.Elif(emptied & (writing == bank)):
                m.d.sync += full[bank].eq(0)
        with m.If(taken):
            m.d.sync += self.busy.eq(1)
        with m.Elif(emptied & last & ~both):
            m.d.sync += [self.busy.eq(0), last.eq(0)]

        row, fetched, left = Signal(row_bits), Signal(place_bits), Signal(range(self.block // lanes + 1))
        beats = Signal.like(left)
        start, address, begun, asked = Signal(64), Signal(64), Signal(), Signal()
        beat = Signal(8 * self.beat_bytes, reset_less=True)
        m.d.comb += [
            read.addr.eq(Cat(fetched, row, writing)), read.en.eq(1),
            self.request.payload.address.eq(address), self.request.payload.beats.eq(beats),
            self.o.payload.eq(beat),
        ]
        with m.If(asked):
            m.d.sync += beat.eq(Cat(beat[32:], read.data))
        m.d.sync += asked.eq(0)
        with m.FSM():
            with m.State("WAIT"):
                m.d.sync += [row.eq(0), address.eq(Mux(begun, start, self.base)), start.eq(Mux(begun, start, self.base)),
                             beats.eq(Mux(writing, counts[1], counts[0]))]
                with m.If(full.bit_select(writing, 1)):
                    m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += self.request.valid.eq(self.enable.bit_select(row, 1))
                m.d.sync += [fetched.eq(0), left.eq(beats - 1)]
                with m.If(~self.request.valid):
                    m.next = "NEXT"
                with m.Elif(self.request.ready):
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.d.sync += [asked.eq(1), fetched.eq(fetched + 1)]
                with m.If(fetched[:exact_log2(lanes)].all()):
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += left.eq(left - 1)
                    m.next = "FETCH"
                    with m.If(left == 0):
                        m.next = "NEXT"
            with m.State("NEXT"):
                m.d.sync += [row.eq(row + 1), address.eq(address + self.stride)]
                m.next = "REQUEST"
                with m.If(row == self.rows - 1):
                    m.d.comb += emptied.eq(1)
                    m.d.sync += [start.eq(start + 4 * self.block), writing.eq(~writing), begun.eq(~last | both)]
                    m.next = "WAIT"
        return m
