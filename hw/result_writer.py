"""Writes the top-k results of a pass as one linear write."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.axi_burst import REQUEST

__all__ = ["ResultWriter"]


class ResultWriter(wiring.Component):
    """For each row of the pass, `k` pairs of index and logit, padded to whole beats.

    ==========  ======================================================
    Throughput  one beat per cycle after one cycle for a row
    Stall       waits for the write port; `done` comes when the write is acknowledged
    ==========  ======================================================

    Parameters
    ----------
    rows, k, beat_bytes : as in the configuration.

    """

    def __init__(self, *, rows: int, k: int, beat_bytes: int) -> None:
        if type(k) is not int or k < 1:
            raise ValueError(f"k must be a positive integer, not {k!r}")
        self.rows, self.k, self.beat_bytes = rows, k, beat_bytes
        candidates = data.ArrayLayout(data.ArrayLayout(32, k), rows)
        super().__init__({
            "start": In(1), "count": In(8), "base": In(64),
            "best_index": In(candidates), "best_logit": In(candidates),
            "request": Out(stream.Signature(REQUEST)),
            "o": Out(stream.Signature(8 * beat_bytes)), "write_idle": In(1), "done": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        beats = -(-8 * self.k // self.beat_bytes)
        record, row, beat = Signal(8 * self.beat_bytes * beats), Signal(8), Signal(range(beats + 1))
        m.d.comb += [
            self.request.payload.address.eq(self.base),
            self.request.payload.beats.eq(self.count * beats),
            self.o.payload.eq(record[:8 * self.beat_bytes]),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.sync += [row.eq(0), beat.eq(0)]
                with m.If(self.start):
                    m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += self.request.valid.eq(1)
                with m.If(self.request.ready):
                    m.next = "LOAD"
            with m.State("LOAD"):
                with m.Switch(row):
                    for index in range(self.rows):
                        with m.Case(index):
                            pairs = [Cat(self.best_index[index][n], self.best_logit[index][n]) for n in range(self.k)]
                            m.d.sync += record.eq(Cat(*pairs))
                m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += [record.eq(Cat(record[8 * self.beat_bytes:], Const(0, 8 * self.beat_bytes))),
                                 beat.eq(beat + 1)]
                    with m.If(beat == beats - 1):
                        m.d.sync += [beat.eq(0), row.eq(row + 1)]
                        m.next = "LOAD"
                        with m.If(row == self.count - 1):
                            m.next = "ACKNOWLEDGE"
            with m.State("ACKNOWLEDGE"):
                with m.If(self.write_idle):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
        return m
