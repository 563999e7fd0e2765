"""Requests of any length, cut into aligned AXI4 bursts.

The arithmetic is defined by its twin, :func:`terntable.models.golden.axi_burst.bursts`.
"""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from terntable.hw.axi import check_bus

__all__ = ["BURST", "REQUEST", "BurstSplitter"]

#: What a unit asks of a port: `beats` (at least 1) beats from `address`, a multiple of the beat size.
REQUEST = data.StructLayout({"address": 64, "beats": 32})

#: A burst of `length` + 1 beats that starts at `address`.
BURST = data.StructLayout({"address": 64, "length": 8})


class BurstSplitter(wiring.Component):
    """Cuts requests at multiples of the burst size, so that no burst crosses a 4 KiB boundary.

    ============  =====================================================
    Computes      ``bursts``
    Latency       ``LATENCY`` cycles from the accepted request to its first burst
    Throughput    1 burst per cycle; the next request is accepted when the last burst is there, so that between them is a cycle
    Stall         the burst stands still
    ============  =====================================================

    No path leads from one side's handshake to the other's.

    Parameters
    ----------
    beat_bytes : bytes of one beat, a power of two from 4 to 128.
    burst_beats : longest burst, a power of two of at most 256 beats and 4096 bytes.

    Members
    -------
    i : In(stream of REQUEST)
    o : Out(stream of BURST)
    drop : In(1)
        Forgets the rest of the request; nothing is accepted while it is high.
    busy : Out(1)
        Bursts of an accepted request are still to be taken, and are not about to be forgotten.

    """

    LATENCY = 2

    def __init__(self, *, beat_bytes: int, burst_beats: int):
        check_bus(beat_bytes=beat_bytes, burst_beats=burst_beats)
        self.beat_bytes = beat_bytes
        self.burst_beats = burst_beats
        super().__init__(
            {"i": In(stream.Signature(REQUEST)), "o": Out(stream.Signature(BURST)), "drop": In(1), "busy": Out(1)}
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        low, place = exact_log2(self.beat_bytes), exact_log2(self.burst_beats)
        beat = Signal(64 - low)                   # number of the next burst's first beat in all memory
        first, block = beat[:place], beat[place:]
        left, none = Signal(32), Signal(init=1)   # beats that are not in a burst yet, and that there are none
        room, count = Signal(place + 1), Signal(place + 1)
        valid, burst, fits, advance = Signal(), Signal(BURST), Signal(), Signal()
        m.d.comb += [
            room.eq(self.burst_beats - first),
            fits.eq(left <= room),                # the rest ends in this burst
            count.eq(Mux(fits, left, room)),
            advance.eq(~valid | self.o.ready),
            self.o.valid.eq(valid & ~self.drop), self.o.p.eq(burst),
            self.i.ready.eq(none & ~self.drop),
            self.busy.eq((valid | ~none) & ~self.drop),
        ]
        with m.If(advance):
            m.d.sync += [valid.eq(~none), burst.address.eq(Cat(C(0, low), beat)), burst.length.eq(count - 1)]
        with m.If(advance & ~none):
            m.d.sync += [left.eq(left - room), none.eq(fits), beat.eq(Cat(C(0, place), (block + 1)[:len(block)]))]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [beat.eq(self.i.p.address[low:]), left.eq(self.i.p.beats), none.eq(0)]
        with m.If(self.drop):
            m.d.sync += [valid.eq(0), none.eq(1)]
        return m
