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
    Latency       ``LATENCY`` cycle from the accepted request to its first burst
    Throughput    1 burst per cycle, also from one request to the next
    Stall         the burst stands still; ``i.ready`` follows ``o.ready`` in the same cycle
    ============  =====================================================

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

    """

    LATENCY = 1

    def __init__(self, *, beat_bytes: int, burst_beats: int):
        check_bus(beat_bytes=beat_bytes, burst_beats=burst_beats)
        self.beat_bytes = beat_bytes
        self.burst_beats = burst_beats
        super().__init__(
            {"i": In(stream.Signature(REQUEST)), "o": Out(stream.Signature(BURST)), "drop": In(1)}
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        low, place = exact_log2(self.beat_bytes), exact_log2(self.burst_beats)
        beat = Signal(64 - low)                   # number of the next burst's first beat in all memory
        first, block = beat[:place], beat[place:]
        left = Signal(32)
        room, count = Signal(place + 1), Signal(place + 1)
        fits = Signal()
        m.d.comb += [
            room.eq(self.burst_beats - first),
            fits.eq(left <= room),                # the rest ends in this burst
            count.eq(Mux(fits, left, room)),
            self.o.valid.eq((left != 0) & ~self.drop),
            self.o.p.address.eq(Cat(C(0, low), beat)),
            self.o.p.length.eq(count - 1),
            self.i.ready.eq(((left == 0) | (self.o.ready & fits)) & ~self.drop),
        ]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [left.eq(left - count), beat.eq(Cat(C(0, place), (block + 1)[:len(block)]))]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [beat.eq(self.i.p.address[low:]), left.eq(self.i.p.beats)]
        with m.If(self.drop):
            m.d.sync += left.eq(0)
        return m
