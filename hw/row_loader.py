"""Loads what differs from row to row: embedding rows (or given vectors) and rotary angles."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.axi_burst import REQUEST
from terntable.hw.half_to_float import HalfToFloat
from terntable.hw.row_table import row_record
from terntable.hw.shapes import columns
from terntable.hw.spec.program import RowFlag

__all__ = ["LoadKind", "RowLoader"]


class LoadKind(enum.Enum, shape=unsigned(1)):
    """What is loaded: X from tokens or vectors, or (cosine, sine) pairs of positions."""

    EMBED = 0
    ROPE = 1


class RowLoader(wiring.Component):
    """For each row of the pass: one linear read, converted to words of `lanes` columns, written to a buffer.

    Row 0's writes also clear the rows past `count`. Numbers: FP16 embedding rows are widened exactly, binary32 ones kept.

    ==========  ======================================================
    Throughput  `lanes` columns per cycle; a beat of FP16 holds twice the columns of a binary32 one
    Stall       waits for the read port; the write side is never stalled
    ==========  ======================================================

    Parameters
    ----------
    rows, lanes, beat_bytes : as in the configuration.
    depth : words of the deepest destination.

    Members
    -------
    command : `length` items of a row (columns, or pairs for ROPE) and the `stride` between table rows in bytes.
    table, count : the row records, static while busy.
    embed_base, rope_base : base registers.
    kind : destination of the writes.

    """

    def __init__(self, *, rows: int, lanes: int, beat_bytes: int, depth: int) -> None:
        if beat_bytes % (4 * lanes):
            raise ValueError(f"beat_bytes must be a multiple of 4 x lanes = {4 * lanes}, not {beat_bytes}")
        self.rows, self.lanes, self.beat_bytes, self.depth = rows, lanes, beat_bytes, depth
        super().__init__({
            "command": In(stream.Signature(data.StructLayout({"kind": LoadKind, "length": 16, "stride": 32}))),
            "table": In(data.ArrayLayout(row_record(), rows)), "count": In(8),
            "embed_base": In(64), "rope_base": In(64),
            "request": Out(stream.Signature(REQUEST)),
            "i": In(stream.Signature(8 * beat_bytes)),
            "kind": Out(LoadKind), "write_rows": Out(rows), "write_address": Out(max(1, (depth - 1).bit_length())),
            "write_data": Out(columns(rows=rows, lanes=lanes)),
            "done": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        command = Signal.like(self.command.payload)
        row, entry = Signal(range(self.rows + 1)), Signal(row_record())
        wide = Signal()                                   # binary32 items, not FP16
        total, offset, part = Signal(20), Signal(64), Signal(16)
        items = 4 * self.lanes                            # bytes of a binary32 word
        per_beat = self.beat_bytes // items               # binary32 words of a beat
        words, word = Signal(16), Signal(16)

        with m.Switch(row):
            for index in range(self.rows):
                with m.Case(index):
                    m.d.comb += entry.eq(self.table[index])
        vector = (entry.flags & RowFlag.VECTOR) != 0
        rope = command.kind == LoadKind.ROPE
        m.d.comb += [
            wide.eq(rope | vector),
            # A pair is eight bytes; a column is four bytes or two.
            total.eq(Mux(rope, command.length << 3, Mux(vector, command.length << 2, command.length << 1))),
            words.eq(Mux(rope, command.length << 1, command.length) >> (self.lanes.bit_length() - 1)),
            self.kind.eq(command.kind),
            self.request.payload.address.eq(Mux(vector & ~rope, entry.vector, offset)),
            self.request.payload.beats.eq((total + self.beat_bytes - 1) >> (self.beat_bytes.bit_length() - 1)),
        ]

        # Words of a beat: `part` counts them, binary32 words taken whole, FP16 ones widened.
        value = Signal(columns(rows=1, lanes=self.lanes))
        for lane in range(self.lanes):
            m.submodules[f"half{lane}"] = half = HalfToFloat()
            halves, floats = Signal(16), Signal(32)
            m.d.comb += [
                halves.eq(self.i.payload.word_select(part * self.lanes + lane, 16)),
                floats.eq(self.i.payload.word_select(part * self.lanes + lane, 32)),
                half.a.eq(halves),
                value[lane][0].eq(Mux(wide, floats, half.y)),
            ]
        unused = Cat(Const(1, 1) & (self.count <= index) for index in range(self.rows))
        m.d.comb += self.write_address.eq(word)
        for index in range(self.rows):
            for lane in range(self.lanes):
                m.d.comb += self.write_data[lane][index].eq(Mux(unused[index], 0, value[lane][0]))

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.command.ready.eq(1)
                with m.If(self.command.valid):
                    m.d.sync += [command.eq(self.command.payload), row.eq(0)]
                    m.next = "ADDRESS"
            with m.State("ADDRESS"):
                m.d.sync += [
                    offset.eq(Mux(rope, self.rope_base, self.embed_base)
                              + Mux(rope, entry.position, entry.token) * command.stride),
                    word.eq(0), part.eq(0),
                ]
                m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += self.request.valid.eq(1)
                with m.If(self.request.ready):
                    m.next = "DATA"
            with m.State("DATA"):
                last_part = part == Mux(wide, per_beat, 2 * per_beat) - 1
                last_word = word == words - 1
                m.d.comb += self.i.ready.eq(last_part | last_word)
                with m.If(self.i.valid):
                    m.d.comb += self.write_rows.eq((1 << row)[:self.rows] | Mux(row == 0, unused, 0))
                    m.d.sync += [word.eq(word + 1), part.eq(Mux(last_part, 0, part + 1))]
                    with m.If(last_word):
                        m.d.sync += row.eq(row + 1)
                        m.next = "NEXT"
            with m.State("NEXT"):
                with m.If(row == self.count):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
                with m.Else():
                    m.next = "ADDRESS"
        return m
