"""AXI4 read master: requests in, beats out."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from terntable.hw.axi import AXI_BURST_INCR, OKAY, ReadPort
from terntable.hw.axi_burst import REQUEST, BurstSplitter

__all__ = ["AxiRead"]


class AxiRead(wiring.Component):
    """Reads each request as INCR bursts and gives its beats in order.

    ============  =====================================================
    Computes      beat i of a request = memory[address + i x beat_bytes]; bursts as ``axi_burst.bursts``
    Latency       ``LATENCY`` cycles from an accepted request to ``arvalid``; none from the R channel to ``o``
    Throughput    1 beat per cycle, 1 burst address per cycle
    Stall         ``rready`` follows ``o.ready`` in the same cycle
    ============  =====================================================

    Parameters
    ----------
    beat_bytes : bytes of one beat, a power of two from 4 to 128.
    burst_beats : longest burst, a power of two of at most 256 beats and 4096 bytes.
    outstanding : bursts that may be asked for before their last beat came, at least 1.

    Members
    -------
    request : In(stream of REQUEST)
        May be queued back to back.
    o : Out(stream)
        Data. What a failed beat brought is passed on as well.
    bus : Out(ReadPort)
    idle : Out(1)
        No accepted request is unfinished.
    error : Out(1)
        A response was not OKAY since the last reset.
    abort : In(1)
        Forgets all requests. What is on the bus is awaited and dropped; until then no request is accepted.
    beat : Out(1)
        A beat came this cycle, dropped ones included.

    """

    LATENCY = 3

    def __init__(self, *, beat_bytes: int, burst_beats: int, outstanding: int = 8):
        self._splitter = BurstSplitter(beat_bytes=beat_bytes, burst_beats=burst_beats)
        if type(outstanding) is not int or outstanding < 1:
            raise ValueError(f"outstanding must be an integer of at least 1, not {outstanding!r}")
        self.beat_bytes = beat_bytes
        self.burst_beats = burst_beats
        self.outstanding = outstanding
        super().__init__({
            "request": In(stream.Signature(REQUEST)),
            "o": Out(stream.Signature(unsigned(8 * beat_bytes))),
            "bus": Out(ReadPort(8 * beat_bytes)),
            "idle": Out(1), "error": Out(1), "abort": In(1), "beat": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.splitter = splitter = self._splitter
        bus, burst = self.bus, splitter.o
        flying = Signal(range(self.outstanding + 1))  # bursts from their address register to their last beat
        dropping, drop = Signal(), Signal()
        wiring.connect(m, wiring.flipped(self.request), splitter.i)
        m.d.comb += [
            drop.eq(self.abort | dropping),
            splitter.drop.eq(drop),
            burst.ready.eq((~bus.arvalid | bus.arready) & (flying != self.outstanding)),
            bus.arsize.eq(exact_log2(self.beat_bytes)),
            bus.arburst.eq(AXI_BURST_INCR),
            bus.arcache.eq(0b0011),                     # normal memory, may be merged on the way, not cached
            bus.rready.eq(self.o.ready | drop),
            self.o.valid.eq(bus.rvalid & ~drop),
            self.o.p.eq(bus.rdata),
            self.beat.eq(bus.rvalid & bus.rready),
            self.idle.eq(~splitter.busy & (flying == 0)),
        ]
        issue, done = Signal(), Signal()
        m.d.comb += [issue.eq(burst.valid & burst.ready), done.eq(self.beat & bus.rlast)]
        m.d.sync += [flying.eq(flying + issue - done), dropping.eq(drop & (flying != 0))]
        with m.If(bus.arready):
            m.d.sync += bus.arvalid.eq(0)
        with m.If(issue):
            m.d.sync += [bus.arvalid.eq(1), bus.araddr.eq(burst.p.address), bus.arlen.eq(burst.p.length)]
        with m.If(self.beat & (bus.rresp != OKAY)):
            m.d.sync += self.error.eq(1)
        return m
