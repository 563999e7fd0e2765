"""Brings the queries of the next plane to the multipliers while this plane's keys stream.

The arithmetic around it is defined by the twin of attention, :func:`terntable.models.golden.attention.attention`.
"""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.attention_sizes import AttentionSizes
from terntable.hw.kernel import delay, register
from terntable.hw.shapes import integers

__all__ = ["AttentionQueries"]

#: Bits of an activation that stays in the multipliers.
SHADOW_BITS = 16


class AttentionQueries(wiring.Component):
    """Loads plane after plane of a query set, each when the one before it is in use.

    ============  =====================================================
    Latency       ``words`` + ``LATENCY`` cycles from ``start`` to ``loaded``
    Throughput    `lanes` columns of all rows per cycle
    Stall         waits until the array takes loads, then a plane goes without a pause
    ============  =====================================================

    Parameters
    ----------
    sizes : AttentionSizes

    Members
    -------
    start : In(1)
        Begin with the words from ``word`` on.
    take, more : In(1)
        The loaded plane becomes active; if there are ``more``, the next one is loaded.
    loaded : Out(1)
        A plane waits to be taken.
    query_address, query_data
        Read port of the queries; the data is a cycle late.
    load, load_place, load_data, load_ready
        As for :class:`terntable.hw.int8_array.Int8Array`.

    """

    LATENCY = 3

    def __init__(self, *, sizes: AttentionSizes, query_words: int):
        self.sizes = sizes
        places = range(sizes.words)
        super().__init__({
            "start": In(1), "take": In(1), "more": In(1), "loaded": Out(1), "word": In(16),
            "query_address": Out(range(max(2, query_words))),
            "query_data": In(integers(rows=sizes.rows, lanes=sizes.lanes, width=8)),
            "load": Out(1), "load_place": Out(places), "load_ready": In(1),
            "load_data": Out(integers(rows=sizes.rows, lanes=sizes.lanes, width=SHADOW_BITS)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        # What the loader does, at most one of them: waits for the array, asks for words, holds a plane that waits to be used.
        settling, loading, holding = Signal(), Signal(), Signal()
        place, last_place = Signal(range(self.sizes.words)), Signal()
        m.d.comb += [
            last_place.eq(place == self.sizes.words - 1),
            self.load.eq(delay(m, loading, name="asked")),
            self.load_place.eq(register(m, place, name="place_asked")),
        ]
        for given, wanted in zip(self.load_data, self.query_data, strict=True):
            m.d.comb += [a.eq(b) for a, b in zip(given, wanted, strict=True)]
        with m.If(settling & self.load_ready):
            m.d.sync += [settling.eq(0), loading.eq(1)]
        with m.If(loading):
            m.d.sync += [self.query_address.eq(self.query_address + 1), place.eq(place + 1)]
            with m.If(last_place):
                m.d.sync += [loading.eq(0), holding.eq(1)]
        # The last word arrives in the first cycle in which the plane is held.
        with m.If(holding):
            m.d.sync += self.loaded.eq(1)
        # Only what is loaded is taken.
        with m.If(self.take):
            m.d.sync += [self.loaded.eq(0), holding.eq(0), settling.eq(self.more)]
        with m.If(self.start):
            m.d.sync += [settling.eq(1), loading.eq(0), holding.eq(0), self.loaded.eq(0)]
            m.d.sync += [place.eq(0), self.query_address.eq(self.word)]
        return m
