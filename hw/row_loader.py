"""Loads what differs from row to row: embedding rows (or given vectors) and rotary angles."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

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

    Rows past `count` are cleared. A row with flag KEEP is read as a token's but X not written. Numbers: FP16 embedding rows are
    widened exactly, binary32 ones as they are.

    ==========  ======================================================
    Throughput  `lanes` columns per cycle; a beat of FP16 holds twice the columns of a binary32 one; a row takes `ROW_CYCLES`
                more; so do the rows to clear, all together, with 1 more; a word is written 2 cycles after it is picked
    Stall       waits for the read port; the write side is never stalled
    ==========  ======================================================

    Parameters
    ----------
    rows, lanes, beat_bytes : as in the configuration.
    depth : words of the deepest destination.

    Members
    -------
    command : `length` items of a row (columns, or pairs for ROPE) and the `stride` between table rows in bytes, at most 65535
        wide beats.
    table, count : the row records, static while busy.
    embed_base, rope_base : base registers.
    kind : destination of the writes.
    done : pulses with the last write, also when that is a kept row's and left out.

    """

    #: Index, product in two steps, address; the request; the next row.
    ROW_CYCLES = 6

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
        beat_bits = self.beat_bytes.bit_length() - 1
        row, index, vector = Signal(range(self.rows + 1)), Signal(32), Signal(64)
        given, wide, offset = Signal(), Signal(), Signal(64)     # a vector's address instead of a table's; binary32 items, not FP16
        keep = Signal()                                          # the row's X stays as it is
        rope = command.kind == LoadKind.ROPE
        # What a row needs, a cycle after its number.
        with m.Switch(row):
            for number in range(self.rows):
                entry = self.table[number]
                with m.Case(number):
                    is_vector = (entry.flags & (RowFlag.VECTOR | RowFlag.KEEP)) == RowFlag.VECTOR
                    m.d.sync += [index.eq(Mux(rope, entry.position, entry.token)), vector.eq(entry.vector),
                                 given.eq(is_vector & ~rope), wide.eq(is_vector | rope),
                                 keep.eq(((entry.flags & RowFlag.KEEP) != 0) & ~rope)]
        # Index x stride, in wide beats and in halves that multipliers take.
        halves = [Signal(32, name=f"half_{n}") for n in range(2)]
        product, beats, words = Signal(48), Signal(32), Signal(16)
        for n, half in enumerate(halves):
            m.d.sync += half.eq(index.word_select(n, 16) * command.stride[beat_bits:][:16])
        size = Mux(rope, command.length << 3, Mux(wide, command.length << 2, command.length << 1))
        m.d.sync += [
            product.eq(halves[0] + (halves[1] << 16)),
            offset.eq(Mux(rope, self.rope_base, self.embed_base) + (product << beat_bits)),
            beats.eq((size + self.beat_bytes - 1) >> beat_bits),
            words.eq(Mux(rope, command.length << 1, command.length) >> (self.lanes.bit_length() - 1)),
        ]
        m.d.comb += [
            self.kind.eq(command.kind),
            self.request.payload.address.eq(Mux(given, vector, offset)), self.request.payload.beats.eq(beats),
        ]

        # The row's last word, the beat's last part: registers, as the beat's `ready` is made of them.
        word, last_word, last_part, taking, picked = Signal(16), Signal(), Signal(), Signal(), Signal(self.rows)
        before_last, unused = Signal(16), Signal(self.rows)
        m.d.sync += [before_last.eq(words - 2), unused.eq(Cat(self.count <= number for number in range(self.rows)))]
        part, parts = Signal(range(self.beat_bytes)), self.beat_bytes // (4 * self.lanes)      # binary32 words of a beat
        clearing, top_part = Signal(), Mux(wide, parts - 1, 2 * parts - 1)
        before_top = Mux(wide, (parts - 2) % (2 * parts), 2 * parts - 2)      # no matter where a beat has one part
        self._write(m, part, wide, word, picked, keep, clearing)

        m.d.comb += self.i.ready.eq(taking & (last_part | last_word))
        settled = Signal(2)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.command.ready.eq(1)
                m.d.sync += [row.eq(0), clearing.eq(0)]
                with m.If(self.command.valid):
                    m.d.sync += command.eq(self.command.payload)
                    m.next = "ADDRESS"
            with m.State("ADDRESS"):
                m.d.sync += [settled.eq(settled + 1), word.eq(0), part.eq(0), last_part.eq(top_part == 0)]
                with m.If(settled == 3):
                    m.d.sync += last_word.eq(words == 1)
                    m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += self.request.valid.eq(1)
                with m.If(self.request.ready):
                    m.d.sync += taking.eq(1)
                    m.next = "DATA"
            with m.State("DATA"):
                with m.If(self.i.valid):
                    m.d.comb += picked.eq(1 << row)
                    m.d.sync += [
                        word.eq(word + 1), last_word.eq(word == before_last), part.eq(Mux(last_part, 0, part + 1)),
                        last_part.eq(Mux(last_part, top_part == 0, part == before_top)),
                    ]
                    with m.If(last_word):
                        m.d.sync += [row.eq(row + 1), taking.eq(0)]
                        m.next = "NEXT"
            with m.State("CLEAR"):
                m.d.comb += picked.eq(unused)
                m.d.sync += [word.eq(word + 1), last_word.eq(word == before_last)]
                with m.If(last_word):
                    m.next = "LAST"
            with m.State("NEXT"):
                m.next = "ADDRESS"
                with m.If(row == self.count):
                    m.d.sync += [clearing.eq(1), word.eq(0), last_word.eq(words == 1)]
                    m.next = "CLEAR"
                    with m.If(row == self.rows):
                        m.next = "DONE"
            with m.State("LAST"):
                m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.done.eq(1)
                m.next = "IDLE"
        return m

    def _write(self, m: Module, part: Value, wide: Value, word: Value, picked: Value, keep: Value, clearing: Value) -> None:
        """A picked part of the beat, `lanes` items of binary32 or of FP16; none of a row to keep."""
        parts = self.beat_bytes // (4 * self.lanes)
        chunk, halves, kept, zero = Signal(32 * self.lanes), Signal(16 * self.lanes), Signal(), Signal()
        rows, address = Signal(self.rows), Signal.like(self.write_address)
        m.d.sync += [
            chunk.eq(self.i.payload.word_select(part[:exact_log2(parts)], 32 * self.lanes)),
            halves.eq(self.i.payload.word_select(part[:exact_log2(2 * parts)], 16 * self.lanes)),
            kept.eq(wide), zero.eq(clearing),
            rows.eq(picked), address.eq(word),
            # `keep` follows the row's number by a cycle as `rows` does; a row past `count` has no flags.
            self.write_rows.eq(Mux(keep, 0, rows)), self.write_address.eq(address),
        ]
        for lane in range(self.lanes):
            m.submodules[f"half{lane}"] = half = HalfToFloat()
            value = Signal(32, name=f"value_{lane}")
            m.d.comb += half.a.eq(halves.word_select(lane, 16))
            m.d.sync += value.eq(Mux(zero, 0, Mux(kept, chunk.word_select(lane, 32), half.y)))
            m.d.comb += [self.write_data[lane][number].eq(value) for number in range(self.rows)]
