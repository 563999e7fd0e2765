"""Ternary matrix product by table lookup: one weight beat per cycle, each weight met by every token row.

The arithmetic is defined by its twin, :func:`terntable.models.golden.tlmm.ternary_matmul`.
"""

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.base3 import Base3Decode
from terntable.hw.lookup_array import LookupArray
from terntable.hw.spec.numbers import SUM_BITS
from terntable.hw.table_builder import TableBuilder, column_layout
from terntable.quant.base3 import TRITS_PER_BYTE

__all__ = ["Tlmm"]

#: Cycles between two beats of the same outputs: the partial sum is read, added to, and written back.
TURNAROUND = 3


class Tlmm(wiring.Component):
    """``sums[n] = sum over k of weight[n, k] * act[k]`` for each token row.

    ============  ==========================================================================
    Computes      ``ternary_matmul``
    Latency       ``cycles`` of the twin, command accepted to ``done``, when nothing is late
    Throughput    one weight beat per cycle once a tile's tables stand; building a tile's
                  tables takes 27 cycles, during which the tile before is multiplied
    Widths        sums of ``sum_bits`` bits inside, 32 outside, cannot overflow
    Stall         waits for columns and for beats, in any pattern; sums never wait
    ============  ==========================================================================

    Parameters
    ----------
    rows, lanes : int
        Token rows, and outputs of a beat; ``lanes`` is a power of two.
    beat_bytes : int
        Bytes of a weight beat, a power of two and a multiple of ``lanes``.
    max_outputs, max_inputs : int
        Largest product; 16 bits each.

    Members
    -------
    command : In(stream)
        Starts a product of ``inputs`` columns and ``outputs`` outputs, both from 1 to the largest;
        ready while ``busy`` is low.
    act : In(stream)
        ``ceil(inputs / lanes)`` words of ``lanes`` columns. The last tile is filled up with zeros here.
    weights : In(stream)
        ``tiles * ceil(outputs / lanes)`` beats as ``terntable.quant.beats`` orders them.
    busy : Out(1)
        From the cycle after a command is accepted until ``done``.
    done : Out(1)
        High for one cycle, the first in which all sums can be read.
    illegal : Out(1)
        A byte of 243 or more was met since the last command; the sums are not to be used.
    sums_address : In
        Word of ``lanes`` outputs to read, while ``busy`` is low.
    sums_data : Out
        That word one cycle later; lane e, row r at bit ``(e * rows + r) * 32``.

    """

    def __init__(self, *, rows: int, lanes: int, beat_bytes: int, max_outputs: int, max_inputs: int):
        for name, value in (("rows", rows), ("lanes", lanes), ("beat_bytes", beat_bytes),
                            ("max_outputs", max_outputs), ("max_inputs", max_inputs)):
            if type(value) is not int or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        for name, value in (("lanes", lanes), ("beat_bytes", beat_bytes)):
            if value & (value - 1):
                raise ValueError(f"{name} must be a power of two, not {value}")
        for name, value in (("max_outputs", max_outputs), ("max_inputs", max_inputs)):
            if value > 0xFFFF:
                raise ValueError(f"{name} must be at most 65535, the largest 16-bit number, not {value}")
        if beat_bytes % lanes:
            raise ValueError(f"beat_bytes must be a multiple of lanes = {lanes}, not {beat_bytes}")
        groups = beat_bytes // lanes
        if TRITS_PER_BYTE * groups % lanes:
            raise ValueError(f"lanes must divide the {TRITS_PER_BYTE * groups} columns of a tile, since no "
                             f"word may straddle two tiles, but it is {lanes}")
        self.rows, self.lanes, self.beat_bytes, self.groups = rows, lanes, beat_bytes, groups
        self.max_outputs, self.max_inputs = max_outputs, max_inputs
        self.sum_bits = (max_inputs * 128).bit_length() + 1
        self.words = -(-max_outputs // lanes)
        super().__init__({
            "command": In(stream.Signature(data.StructLayout({"inputs": 16, "outputs": 16}))),
            "act": In(stream.Signature(column_layout(rows, lanes))),
            "weights": In(stream.Signature(unsigned(8 * beat_bytes))),
            "busy": Out(1),
            "done": Out(1),
            "illegal": Out(1),
            "sums_address": In(range(self.words)),
            "sums_data": Out(data.ArrayLayout(data.ArrayLayout(signed(SUM_BITS), rows), lanes)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        shape = {"rows": self.rows, "lanes": self.lanes, "groups": self.groups}
        m.submodules.decode = decode = Base3Decode(beat_bytes=self.beat_bytes)
        m.submodules.builder = builder = TableBuilder(**shape)
        m.submodules.lookup = lookup = LookupArray(**shape)

        start = Signal()
        m.d.comb += [
            self.command.ready.eq(~self.busy),
            start.eq(self.command.valid & self.command.ready),
        ]
        with m.If(self.done):
            m.d.sync += self.done.eq(0)
        with m.If(start):
            m.d.sync += [self.busy.eq(1), self.illegal.eq(0)]

        feeding, tile_fed = self._feed(m, start, builder)

        # Tables of a bank stand from their last entry to the last beat of their tile. That beat reads them in
        # the next cycle, just before the first entry of another tile can change them.
        standing = Signal(2)
        write_bank, read_bank = Signal(), Signal()
        m.d.comb += [
            builder.o.ready.eq(~standing.bit_select(write_bank, 1)),
            lookup.write.valid.eq(builder.o.valid & builder.o.ready),
            lookup.write.p.bank.eq(write_bank),
            *(lookup.write.p[name].eq(builder.o.p[name]) for name in ("entry", "low", "high", "last")),
        ]
        with m.If(lookup.write.valid & builder.o.p.last):
            m.d.sync += [standing.bit_select(write_bank, 1).eq(1), write_bank.eq(~write_bank)]

        # Beats of a tile. The first one waits until its outputs are back from the tile before.
        last_group, group = Signal(16), Signal(16)
        wait = Signal(range(TURNAROUND))
        beat, tile_end = Signal(), Signal()
        m.d.comb += [
            decode.i.p.eq(self.weights.p),
            self.weights.ready.eq(standing.bit_select(read_bank, 1) & ((group != 0) | (wait == 0))),
            beat.eq(self.weights.valid & self.weights.ready),
            decode.i.valid.eq(beat),
            tile_end.eq(beat & (group == last_group)),
        ]
        with m.If(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.If(beat):
            m.d.sync += group.eq(group + 1)
            with m.If(group == 0):
                m.d.sync += wait.eq(TURNAROUND - 1)
        with m.If(tile_end):
            m.d.sync += [group.eq(0), standing.bit_select(read_bank, 1).eq(0), read_bank.eq(~read_bank)]
        with m.If(start):
            m.d.sync += last_group.eq((self.command.p.outputs - 1) >> (self.lanes.bit_length() - 1))

        # Tiles between the feed and the last beat: one collected, one emitted, two in the banks.
        tiles = Signal(3)
        m.d.sync += tiles.eq(tiles + tile_fed - tile_end)
        last_beat = Signal()
        m.d.comb += last_beat.eq(tile_end & ~feeding & (tiles == 1))

        bank = Signal()
        m.d.sync += bank.eq(read_bank)
        m.d.comb += [
            decode.o.ready.eq(lookup.i.ready),
            lookup.i.valid.eq(decode.o.valid),
            lookup.i.p.low.eq(decode.o.p.low),
            lookup.i.p.high.eq(decode.o.p.high),
            lookup.i.p.bank.eq(bank),
            lookup.o.ready.eq(1),
        ]
        with m.If(decode.o.valid & decode.o.p.illegal):
            m.d.sync += self.illegal.eq(1)

        self._accumulate(m, start, beat, tile_end, last_beat, lookup)
        return m

    def _feed(self, m: Module, start: Signal, builder: TableBuilder) -> tuple[Signal, Signal]:
        """Columns to the builder, whole tiles; returns "not all fed yet" and "a tile is whole now"."""
        feeding, padding, tile_fed = Signal(), Signal(), Signal()
        left = Signal(16)    # words after the current one
        word = Signal(range(builder.words))
        fed, tile_full = Signal(), Signal()
        m.d.comb += [
            builder.i.valid.eq(feeding & (padding | self.act.valid)),
            builder.i.p.eq(Mux(padding, 0, self.act.p.as_value())),
            self.act.ready.eq(feeding & ~padding & builder.i.ready),
            fed.eq(builder.i.valid & builder.i.ready),
            tile_full.eq(word == builder.words - 1),
            tile_fed.eq(fed & tile_full),
        ]
        with m.If(fed):
            m.d.sync += word.eq(Mux(tile_full, 0, word + 1))
            with m.If(left == 0):
                m.d.sync += [padding.eq(~tile_full), feeding.eq(~tile_full)]
            with m.Else():
                m.d.sync += left.eq(left - 1)
        with m.If(start):
            m.d.sync += [feeding.eq(1), left.eq((self.command.p.inputs - 1) >> (self.lanes.bit_length() - 1))]
        return feeding, tile_fed

    def _accumulate(self, m: Module, start: Signal, beat: Signal, tile_end: Signal, last_beat: Signal,
                    lookup: LookupArray) -> None:
        """Partial sums: read one cycle before the lookup's result, added to it, written a cycle later."""
        word = data.ArrayLayout(data.ArrayLayout(signed(self.sum_bits), self.rows), self.lanes)
        sums: memory.Memory = memory.Memory(shape=word, depth=self.words, init=[])
        m.submodules.sums = sums
        read, write = sums.read_port(), sums.write_port()

        # What is known about a beat when it is accepted travels beside it.
        depth = Base3Decode.LATENCY + lookup.LATENCY
        Note = data.StructLayout({"valid": 1, "tile_end": 1, "last": 1})
        notes = [Signal(Note, name=f"note_{n}") for n in range(depth + 2)]
        m.d.comb += [notes[0].valid.eq(beat), notes[0].tile_end.eq(tile_end), notes[0].last.eq(last_beat)]
        for now, later in zip(notes, notes[1:], strict=False):
            m.d.sync += later.eq(now)
        reading, adding, writing = notes[depth - 1], notes[depth], notes[depth + 1]

        address, first = Signal(range(self.words)), Signal()
        with m.If(reading.valid):
            m.d.sync += address.eq(Mux(reading.tile_end, 0, address + 1))
        with m.If(adding.valid & adding.tile_end):
            m.d.sync += first.eq(0)
        with m.If(start):
            m.d.sync += first.eq(1)

        adding_address, sum_now = Signal.like(address), Signal(word, reset_less=True)
        m.d.comb += [
            read.addr.eq(Mux(self.busy, address, self.sums_address)),
            read.en.eq(reading.valid | ~self.busy),
            write.data.eq(sum_now),
            write.en.eq(writing.valid),
        ]
        with m.If(reading.valid):
            m.d.sync += adding_address.eq(address)
        with m.If(adding.valid):
            m.d.sync += write.addr.eq(adding_address)
            for lane in range(self.lanes):
                for r in range(self.rows):
                    before = Mux(first, 0, read.data[lane][r])
                    m.d.sync += sum_now[lane][r].eq(before + lookup.o.p[lane][r])
        with m.If(writing.last):
            m.d.sync += [self.busy.eq(0), self.done.eq(1)]
        for lane in range(self.lanes):
            for r in range(self.rows):
                m.d.comb += self.sums_data[lane][r].eq(read.data[lane][r])
