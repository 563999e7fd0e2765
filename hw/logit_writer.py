"""Full logits to memory, a block at a time, for the rows that want them."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from terntable.hw.axi_burst import REQUEST
from terntable.hw.head import logit_item

__all__ = ["LogitWriter"]


class LogitWriter(wiring.Component):
    """Collects a block of logits of all rows, then writes it row by row.

    ============  =====================================================
    Computes      nothing, so there is no twin: memory[base + r x stride + 4 v] = logit of vocabulary row v
    Latency       ``LATENCY`` cycles from a block's last item to its first request
    Throughput    one item per cycle while collecting, one beat per cycle while writing; a row
                  takes 3 more cycles, one that is not enabled takes 2
    Stall         takes no item while writing; a beat on offer waits in its register
    ============  =====================================================

    Parameters
    ----------
    rows : int
        Token rows.
    beat_bytes : int
        Bytes of a beat, a power of two of at least 8.
    block : int
        Beats of a block, a power of two of at least 2.

    Members
    -------
    i : In(stream of logit_item)
        The item with ``last`` fills up a beat; after it the next vocabulary begins.
    enable : In(rows)
        Rows to write.
    base, stride : In(64), In(32)
        Address of row 0, and bytes from a row to the next; multiples of ``beat_bytes``. These three inputs
        stay as they are while busy.
    request : Out(stream of REQUEST)
    o : Out(stream)
        The beats of each request, offered once it is accepted.
    busy : Out(1)
        From the first accepted item until the last beat is taken.
    done : Out(1)
        The next cycle is not busy.

    """

    LATENCY = 2

    def __init__(self, *, rows: int, beat_bytes: int, block: int = 16):
        if rows < 1:
            raise ValueError(f"rows must be at least 1, not {rows!r}")
        for name, value, low in (("beat_bytes", beat_bytes, 8), ("block", block, 2)):
            if value < low or value & (value - 1):
                raise ValueError(f"{name} must be a power of two of at least {low}, not {value!r}")
        self.rows, self.beat_bytes, self.block = rows, beat_bytes, block
        super().__init__({
            "i": In(stream.Signature(logit_item(rows=rows))),
            "enable": In(rows), "base": In(64), "stride": In(32),
            "request": Out(stream.Signature(REQUEST)),
            "o": Out(stream.Signature(8 * beat_bytes)),
            "busy": Out(1), "done": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        lanes = self.beat_bytes // 4
        beat, row = Signal(range(self.block)), Signal(range(max(2, self.rows)))
        beats = Signal(range(self.block + 1))     # of this block
        lane = Signal(range(lanes))
        start, address = Signal(64), Signal(64)   # of row 0 and of `row` in this block
        last, fetch, full, advance = Signal(), Signal(), Signal(), Signal()
        taken, whole = Signal(), Signal()
        m.d.comb += [
            taken.eq(self.i.valid & self.i.ready),
            whole.eq(lane == lanes - 1),
            advance.eq(~full | self.o.ready),
            self.request.p.address.eq(address),
            self.request.p.beats.eq(beats),
            self.o.valid.eq(full),
        ]

        # One memory for each item of a beat; a word holds that item of all rows.
        for n in range(lanes):
            memory = Memory(shape=data.ArrayLayout(32, self.rows), depth=self.block, init=[])
            m.submodules[f"lane_{n}"] = memory
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [
                write.addr.eq(beat), write.data.eq(self.i.p.logit), write.en.eq(taken & (lane == n)),
                read.addr.eq(beat), read.en.eq(advance),
                self.o.p[32 * n:32 * n + 32].eq(read.data[row]),
            ]

        with m.FSM():
            with m.State("COLLECT"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(taken):
                    m.d.sync += [self.busy.eq(1), last.eq(self.i.p.last)]
                    m.d.sync += lane.eq(Mux(whole, 0, lane + 1))
                    with m.If(~self.busy):
                        m.d.sync += start.eq(self.base)
                    with m.If(whole):
                        m.d.sync += beat.eq(beat + 1)
                    with m.If(self.i.p.last | (whole & (beat == self.block - 1))):
                        m.d.sync += [lane.eq(0), beats.eq(beat + 1), row.eq(0)]
                        m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.sync += address.eq(start)
                m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.sync += beat.eq(0)
                m.d.comb += self.request.valid.eq(self.enable.bit_select(row, 1))
                with m.If(~self.request.valid):
                    m.next = "NEXT"
                with m.Elif(self.request.ready):
                    m.d.sync += fetch.eq(1)
                    m.next = "BEATS"
            with m.State("BEATS"):
                with m.If(advance):
                    m.d.sync += [full.eq(fetch), beat.eq(beat + 1)]
                    with m.If(beat == beats - 1):
                        m.d.sync += fetch.eq(0)
                    with m.If(~fetch):
                        m.next = "NEXT"
            with m.State("NEXT"):
                m.d.sync += [row.eq(row + 1), address.eq(address + self.stride), beat.eq(0)]
                m.next = "REQUEST"
                with m.If(row == self.rows - 1):
                    m.d.sync += start.eq(start + self.block * self.beat_bytes)
                    m.next = "COLLECT"
                    with m.If(last):
                        m.d.comb += self.done.eq(1)
                        m.d.sync += self.busy.eq(0)
        return m
