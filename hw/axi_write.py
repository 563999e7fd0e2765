"""AXI4 write master: requests and beats in, acknowledged bursts out."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from terntable.hw.axi import AXI_BURST_INCR, OKAY, WritePort
from terntable.hw.axi_burst import REQUEST, BurstSplitter

__all__ = ["AxiWrite"]


class AxiWrite(wiring.Component):
    """Writes the beats of each request, in order, as INCR bursts of whole beats.

    ============  =====================================================
    Computes      memory[address + i x beat_bytes] = beat i of the request; bursts as ``axi_burst.bursts``
    Latency       ``LATENCY`` cycles from an accepted request to ``awvalid``; 1 from ``i`` to ``wvalid``
    Throughput    1 beat per cycle, also from one burst to the next
    Stall         a beat waits in the W register; ``i.ready`` follows ``wready`` in the same cycle
    ============  =====================================================

    Parameters
    ----------
    beat_bytes : bytes of one beat, a power of two from 4 to 128.
    burst_beats : longest burst, a power of two of at most 256 beats and 4096 bytes.
    outstanding : bursts that may wait for their response, at least 1.

    Members
    -------
    request : In(stream of REQUEST)
        May be queued back to back.
    i : In(stream)
        Data; taken only when a request wants it.
    bus : Out(WritePort)
    idle : Out(1)
        Every accepted request is written and acknowledged, since a cycle at least.
    error : Out(1)
        A response was not OKAY since the last reset.
    abort : In(1)
        Forgets all requests. A burst that has begun is filled up with beats that write nothing (strobes 0);
        until the bus has answered, no request and no data are accepted.
    beat : Out(1)
        A beat was taken from `i` this cycle.

    """

    LATENCY = 3

    def __init__(self, *, beat_bytes: int, burst_beats: int, outstanding: int = 4):
        self._splitter = BurstSplitter(beat_bytes=beat_bytes, burst_beats=burst_beats)
        if type(outstanding) is not int or outstanding < 1:
            raise ValueError(f"outstanding must be an integer of at least 1, not {outstanding!r}")
        self.beat_bytes = beat_bytes
        self.burst_beats = burst_beats
        self.outstanding = outstanding
        super().__init__({
            "request": In(stream.Signature(REQUEST)),
            "i": In(stream.Signature(unsigned(8 * beat_bytes))),
            "bus": Out(WritePort(8 * beat_bytes)),
            "idle": Out(1, init=1), "error": Out(1), "abort": In(1), "beat": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.splitter = splitter = self._splitter
        bus, burst = self.bus, splitter.o
        flying = Signal(range(self.outstanding + 1))  # bursts from their address register to their response
        crowded = Signal()                            # there are as many as may be
        left = Signal(
            range(self.burst_beats + 1)
        )  # beats of the present burst that are not in the W register
        dropping, drop = Signal(), Signal()
        some, one = Signal(), Signal()                # `left` is not 0, is 1
        free, take, issue, done = Signal(), Signal(), Signal(), Signal()
        wiring.connect(m, wiring.flipped(self.request), splitter.i)
        m.d.comb += [
            drop.eq(self.abort | dropping),
            splitter.drop.eq(drop),
            burst.ready.eq((~bus.awvalid | bus.awready) & ~crowded
                           & (~some | (take & one))),
            bus.awsize.eq(exact_log2(self.beat_bytes)),
            bus.awburst.eq(AXI_BURST_INCR),
            bus.awcache.eq(0b0011),                     # normal memory, may be merged on the way, not cached
            bus.bready.eq(1),
            free.eq(some & (~bus.wvalid | bus.wready)),
            self.i.ready.eq(free & ~drop),
            self.beat.eq(self.i.valid & self.i.ready),
            take.eq(free & (self.i.valid | drop)),
            issue.eq(burst.valid & burst.ready),
            done.eq(bus.bvalid),
        ]
        # What is accepted now keeps it from rising in the next cycle, when that is not in the splitter's flag yet.
        m.d.sync += self.idle.eq(~splitter.busy & (flying == 0) & ~(self.request.valid & splitter.i.ready))
        m.d.sync += [
            flying.eq(flying + issue - done), dropping.eq(drop & (flying != 0)),
            crowded.eq(~done & Mux(issue, flying == self.outstanding - 1, flying == self.outstanding)),
        ]
        with m.If(bus.awready):
            m.d.sync += bus.awvalid.eq(0)
        with m.If(bus.wready):
            m.d.sync += bus.wvalid.eq(0)
        with m.If(take):
            m.d.sync += [
                bus.wvalid.eq(1),
                bus.wdata.eq(self.i.p),
                bus.wstrb.eq(Mux(drop, 0, ~0)),
                bus.wlast.eq(one),
                left.eq(left - 1), some.eq(~one), one.eq(left == 2),
            ]
        with m.If(issue):
            m.d.sync += [
                bus.awvalid.eq(1), bus.awaddr.eq(burst.p.address), bus.awlen.eq(burst.p.length),
                left.eq(burst.p.length + 1), some.eq(1), one.eq(burst.p.length == 0),
            ]
        with m.If(bus.bvalid & (bus.bresp != OKAY)):
            m.d.sync += self.error.eq(1)
        return m
