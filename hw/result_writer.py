"""Writes the top-k results of a pass as one linear write."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.axi_burst import REQUEST

__all__ = ["ResultWriter"]


class ResultWriter(wiring.Component):
    """For each row of the pass, `k` pairs of index and logit, padded to whole beats.

    ==========  ======================================================
    Throughput  a beat for every beat_bytes / 8 + 2 cycles
    Stall       waits for the write port; `done` comes when the write is acknowledged
    ==========  ======================================================

    Parameters
    ----------
    rows, k, beat_bytes : as in the configuration; beats of the write port.

    Members
    -------
    start, done : a pulse begins, a pulse ends.
    count, base : rows of the pass, and where to write.
    row, place : entry to read; `best_index` and `best_logit` follow a cycle later.
    write_idle : the write port has acknowledged everything.

    """

    def __init__(self, *, rows: int, k: int, beat_bytes: int) -> None:
        if type(k) is not int or k < 1:
            raise ValueError(f"k must be a positive integer, not {k!r}")
        if beat_bytes < 8 or beat_bytes & (beat_bytes - 1):
            raise ValueError(f"beat_bytes must be a power of two of at least 8, not {beat_bytes!r}")
        self.rows, self.k, self.beat_bytes = rows, k, beat_bytes
        super().__init__({
            "start": In(1), "count": In(8), "base": In(64),
            "row": Out(max(1, (rows - 1).bit_length())), "place": Out(max(1, (k - 1).bit_length())),
            "best_index": In(32), "best_logit": In(32),
            "request": Out(stream.Signature(REQUEST)),
            "o": Out(stream.Signature(8 * beat_bytes)), "write_idle": In(1), "done": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        pairs = self.beat_bytes // 8
        beats = -(-self.k // pairs)
        # Places run on past the last pair to the end of the row's last beat, where pairs are zero.
        row, left, place = Signal(8), Signal(8), Signal(range(beats * pairs + 1))
        asked, real = Signal(), Signal()
        beat = Signal(8 * self.beat_bytes)
        m.d.comb += [
            self.row.eq(row), self.place.eq(place),
            self.request.payload.address.eq(self.base), self.request.payload.beats.eq(self.count * beats),
            self.o.payload.eq(beat),
        ]
        m.d.sync += [asked.eq(0), real.eq(place < self.k)]
        with m.If(asked):
            m.d.sync += beat.eq(Cat(beat, Cat(self.best_index, self.best_logit) & real.replicate(64))[64:])
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [row.eq(0), left.eq(self.count), place.eq(0)]
                with m.If(self.start):
                    m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += self.request.valid.eq(1)
                with m.If(self.request.ready):
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.d.sync += [asked.eq(1), place.eq(place + 1)]
                with m.If((place & (pairs - 1)) == pairs - 1):
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "FETCH"
                    with m.If(place == beats * pairs):
                        m.d.sync += [place.eq(0), row.eq(row + 1), left.eq(left - 1)]
                        with m.If(left == 1):
                            m.next = "ACKNOWLEDGE"
            with m.State("ACKNOWLEDGE"):
                with m.If(self.write_idle):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
        return m
