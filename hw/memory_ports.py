"""The read side of memory: the weight stream with its prefetch ring, and all other reads, over the same ports."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.axi import ReadPort
from terntable.hw.axi_burst import REQUEST
from terntable.hw.axi_share import AxiShare
from terntable.hw.spec.config import WORD_BEATS, HardwareConfig
from terntable.hw.spec.parts import part_of
from terntable.hw.striped_read import StripedRead

__all__ = ["MemoryPorts"]


class MemoryPorts(wiring.Component):
    """Two clients of every port: `data`, which goes first, and `weights`, which takes what is left.

    ==========  ======================================================
    Computes    nothing, so there is no twin
    Latency     that of :class:`terntable.hw.striped_read.StripedRead`
    Throughput  a wide beat per cycle together; a word of weights and a beat of data per cycle from what is buffered
    Stall       a client whose buffer is full asks for nothing, so that it never holds up the other
    ==========  ======================================================

    Members
    -------
    weights_request, weights : linear reads of whole words; words.
    data_request, data : linear reads; wide beats.
    buses : the ports.
    stream_beats, data_beats : a beat of either client came on the port of the bit's number.
    ring_full : the weight stream waits for room.
    idle, error, abort : of both clients.

    """

    def __init__(self, *, config: HardwareConfig) -> None:
        self.config = config
        beat = 8 * config.beat_bytes
        super().__init__({
            "weights_request": In(stream.Signature(REQUEST)), "weights": Out(stream.Signature(8 * config.word_bytes)),
            "data_request": In(stream.Signature(REQUEST)), "data": Out(stream.Signature(beat)),
            "buses": Out(ReadPort(8 * config.port_bytes)).array(config.ports),
            "stream_beats": Out(config.ports), "data_beats": Out(config.ports), "ring_full": Out(1),
            "idle": Out(1), "error": Out(1), "abort": In(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self.config
        shared = {"ports": config.ports, "port_bytes": config.port_bytes, "burst_beats": config.burst_beats}
        # A port must have its next stripe to ask for while the others are still being given theirs.
        queue = max(16, 2 * config.stripe_bytes // config.burst_bytes)
        m.submodules.stream = stream_read = StripedRead(
            **shared, stripe_bytes=config.stripe_bytes, word_beats=WORD_BEATS, depth=config.ring_words, queue=queue,
            style=part_of(config.name).large_memory)
        m.submodules.other = other = StripedRead(
            **shared, stripe_bytes=config.data_stripe_bytes, word_beats=1, depth=config.data_beats, style="block")
        for port in range(config.ports):
            share = AxiShare(width=8 * config.port_bytes, masters=2, outstanding=16)
            m.submodules[f"share{port}"] = share
            wiring.connect(m, other.buses[port], share.masters[0])
            wiring.connect(m, stream_read.buses[port], share.masters[1])
            wiring.connect(m, share.bus, wiring.flipped(self.buses[port]))
        for outer, inner in ((self.weights_request, stream_read.request), (self.data_request, other.request)):
            wiring.connect(m, wiring.flipped(outer), inner)
        for inner, outer in ((stream_read.o, self.weights), (other.o, self.data)):
            wiring.connect(m, inner, wiring.flipped(outer))
        # Much depends on an abort, which may come a cycle later.
        aborting = Signal()
        m.d.sync += aborting.eq(self.abort)
        m.d.comb += [
            self.stream_beats.eq(stream_read.beats), self.data_beats.eq(other.beats), self.ring_full.eq(stream_read.starved),
            self.idle.eq(stream_read.idle & other.idle), self.error.eq(stream_read.error | other.error),
            stream_read.abort.eq(aborting), other.abort.eq(aborting),
        ]
        return m
