"""The row records of a pass, unpacked into registers that every unit reads."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.spec.program import ROW, ROW_BYTES, RowFlag

__all__ = ["ROW_FIELDS", "RowTable", "row_record"]

#: Fields that the hardware keeps: name and bits.
ROW_FIELDS = (("token", 32), ("flags", 4), ("position", 32), ("slot", 32), ("prefix", 32), ("mask", 64), ("vector", 64))


def row_record() -> data.StructLayout:
    """One row's registers."""
    return data.StructLayout(dict(ROW_FIELDS))


class RowTable(wiring.Component):
    """Takes `count` records of 64 bytes as beats and holds them; rows past `count` are zero.

    ==========  ======================================================
    Latency     `done` pulses 2 cycles after the last beat
    Throughput  one beat per cycle, never stalls once started
    ==========  ======================================================

    Parameters
    ----------
    rows : registers for this many rows.
    beat_bytes : bytes of a beat; a power of two of at most 64.

    Members
    -------
    start, count : a pulse clears the table and expects `count` records (1 to `rows`).
    table : the rows.
    any_output, any_logits : some row wants a result of the head, and full logits of it; from `done` on.

    """

    def __init__(self, *, rows: int, beat_bytes: int) -> None:
        if type(rows) is not int or rows < 1:
            raise ValueError(f"rows must be a positive integer, not {rows!r}")
        if beat_bytes not in (8, 16, 32, 64):
            raise ValueError(f"beat_bytes must be 8, 16, 32 or 64, not {beat_bytes!r}")
        self.rows, self.beat_bytes = rows, beat_bytes
        super().__init__({
            "start": In(1), "count": In(8), "done": Out(1),
            "i": In(stream.Signature(8 * beat_bytes)),
            "table": Out(data.ArrayLayout(row_record(), rows)), "any_output": Out(1), "any_logits": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        beats = ROW_BYTES // self.beat_bytes
        left, taking, beat, row = Signal(8), Signal(), Signal(range(beats + 1)), Signal(range(self.rows + 1))
        record, whole, complete = Signal(8 * ROW_BYTES), Signal(8 * ROW_BYTES), Signal()
        m.d.comb += [
            self.i.ready.eq(taking),
            whole.eq(Cat(record, self.i.payload)[8 * self.beat_bytes:]),
        ]
        m.d.sync += [
            self.any_output.eq(Cat(entry.flags & (RowFlag.TOP_K | RowFlag.LOGITS) for entry in self.table).any()),
            self.any_logits.eq(Cat(entry.flags & RowFlag.LOGITS for entry in self.table).any()),
            complete.eq(0), self.done.eq(complete),
        ]
        with m.If(self.start):
            m.d.sync += [left.eq(self.count), taking.eq(1), beat.eq(0), row.eq(0)]
            m.d.sync += [entry.as_value().eq(0) for entry in self.table]
        with m.Elif(self.i.valid & self.i.ready):
            m.d.sync += [record.eq(whole), beat.eq(beat + 1)]
            with m.If(beat == beats - 1):
                m.d.sync += [beat.eq(0), row.eq(row + 1), left.eq(left - 1), complete.eq(left == 1), taking.eq(left != 1)]
                for index, entry in enumerate(self.table):
                    with m.If(row == index):
                        for name, width in ROW_FIELDS:
                            start = 8 * ROW.fields[name][1]
                            m.d.sync += entry[name].eq(whole[start:start + width])
        return m
