"""Runs a vector descriptor: words from buffers through the lanes and back."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.lanes import VectorLanes
from terntable.hw.shapes import columns, integers, per_row
from terntable.hw.spec.program import Buffer, VecMode

__all__ = ["PARTIAL_MODES", "VectorUnit"]

#: Modes whose main operand is an integer sum, scaled by the row's factor.
PARTIAL_MODES = (VecMode.DEQUANT, VecMode.ADD, VecMode.RELU2, VecMode.MULTIPLY)


class VectorUnit(wiring.Component):
    """Address generation, operand routing and the lanes.

    ==========  ======================================================
    Latency     `LATENCY` cycles and one a word from an accepted command to `done`, when the stream never starves;
                SUMSQ: `SUM_LATENCY` cycles and one a word
    Throughput  one word of `lanes` columns per cycle
    Stall       waits for norm weights only; buffers never stall
    ==========  ======================================================

    Parameters
    ----------
    rows, lanes, beat_bytes : as in the configuration.

    Members
    -------
    command : mode, source and destination buffer, columns, first columns, 16-bit quantisation.
    inv, scale, factor : the row scalars INV, S and F.
    read_address, read_enable : main operand's word in X, Y or PARTIAL; `second_address` that of the other operand.
    x, y, partial, rope : words read, a cycle after the address.
    weights : stream beats of binary32 norm weights.
    write_* : result words; `write_column` is the first column.

    """

    def __init__(self, *, rows: int, lanes: int, beat_bytes: int) -> None:
        if beat_bytes % (4 * lanes):
            raise ValueError(f"beat_bytes must be a multiple of 4 x lanes = {4 * lanes}, not {beat_bytes}")
        self.rows, self.lanes, self.beat_bytes = rows, lanes, beat_bytes
        self.unit = VectorLanes(rows=rows, lanes=lanes)
        self.LATENCY, self.SUM_LATENCY = self.unit.LATENCY + 3, self.unit.SUM_LATENCY + 2
        word = columns(rows=rows, lanes=lanes)
        super().__init__({
            "command": In(stream.Signature(data.StructLayout({
                "mode": 4, "source": 3, "destination": 3, "length": 16, "offset": 16, "offset2": 16, "bits16": 1}))),
            "inv": In(per_row(rows=rows)), "scale": In(per_row(rows=rows)), "factor": In(per_row(rows=rows)),
            "read_enable": Out(1), "read_address": Out(16), "second_address": Out(16), "rope_address": Out(16),
            "x": In(word), "y": In(word), "partial": In(word), "rope": In(word),
            "weights": In(stream.Signature(8 * beat_bytes)),
            "write_valid": Out(1), "destination": Out(3), "write_column": Out(16),
            "write_float": Out(word), "write_integer": Out(integers(rows=rows, lanes=lanes, width=16)),
            "second_is_x": Out(1), "source": Out(3), "mode": Out(4),
            "amax": Out(per_row(rows=rows)), "sum": Out(per_row(rows=rows)),
            "busy": Out(1), "invalid": Out(1), "done": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.lanes = unit = self.unit
        command = Signal.like(self.command.payload)
        shift = self.lanes.bit_length() - 1
        issued, stored, words = Signal(16), Signal(16), Signal(16)
        loaded, loaded_last, advance, norm = Signal(), Signal(), Signal(), Signal()
        parts = self.beat_bytes // (4 * self.lanes)
        part = Signal(range(parts + 1))
        running = Signal()

        m.d.comb += [
            norm.eq(command.mode == VecMode.NORM),
            words.eq(command.length >> shift),
            self.mode.eq(command.mode), self.source.eq(command.source), self.destination.eq(command.destination),
            self.second_is_x.eq(command.mode == VecMode.ADD),
            unit.mode.eq(command.mode), unit.bits16.eq(command.bits16),
            unit.factor.eq(Mux(norm, self.inv, Mux(command.mode == VecMode.QUANT, self.scale, self.factor))),
            self.read_enable.eq(advance),
            self.read_address.eq((command.offset >> shift) + issued),
            self.second_address.eq((command.offset2 >> shift) + issued),
            self.rope_address.eq(issued),
            advance.eq(~loaded | unit.i.ready & (~norm | self.weights.valid)),
            unit.i.valid.eq(loaded & (~norm | self.weights.valid)),
            unit.i.payload.last.eq(loaded_last),
            unit.o.ready.eq(1),
            self.amax.eq(unit.amax), self.sum.eq(unit.sum), self.invalid.eq(unit.invalid & running),
            self.busy.eq(running),
        ]

        with m.Switch(command.source):
            with m.Case(Buffer.X):
                m.d.comb += unit.i.payload.a.eq(self.x)
            with m.Case(Buffer.Y):
                m.d.comb += unit.i.payload.a.eq(self.y)
            with m.Default():
                m.d.comb += unit.i.payload.a.eq(self.partial)
        with m.Switch(command.mode):
            with m.Case(VecMode.NORM):
                for lane in range(self.lanes):
                    gamma = self.weights.payload.word_select(part * self.lanes + lane, 32)
                    m.d.comb += [unit.i.payload.b[lane][row].eq(gamma) for row in range(self.rows)]
            with m.Case(VecMode.ADD):
                m.d.comb += unit.i.payload.b.eq(self.x)
            with m.Case(VecMode.ROPE):
                m.d.comb += unit.i.payload.b.eq(self.rope)
            with m.Default():
                m.d.comb += unit.i.payload.b.eq(self.y)

        # A beat of norm weights feeds `parts` words; what is left of it after the last word is padding.
        used = norm & loaded & self.weights.valid & unit.i.ready
        m.d.comb += self.weights.ready.eq(used & ((part == parts - 1) | loaded_last))
        with m.If(used):
            m.d.sync += part.eq(Mux((part == parts - 1) | loaded_last, 0, part + 1))

        m.d.comb += [
            self.write_valid.eq(unit.o.valid & (command.mode != VecMode.SUMSQ) & running),
            self.write_column.eq(command.offset2 + (stored << shift)),
            self.write_float.eq(unit.o.payload.y), self.write_integer.eq(unit.o.payload.q),
        ]
        with m.If(self.write_valid):
            m.d.sync += stored.eq(stored + 1)

        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.command.ready.eq(1)
                with m.If(self.command.valid):
                    m.d.comb += unit.clear.eq(1)
                    m.d.sync += [command.eq(self.command.payload), issued.eq(0), stored.eq(0), part.eq(0)]
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += running.eq(1)
                with m.If(advance):
                    m.d.sync += [loaded.eq(issued != words), loaded_last.eq(issued == words - 1)]
                    with m.If(issued != words):
                        m.d.sync += issued.eq(issued + 1)
                with m.If(Mux(command.mode == VecMode.SUMSQ, unit.sum_valid & ~loaded & (issued == words),
                              stored == words)):
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                m.d.comb += [running.eq(1), self.done.eq(1)]
                m.next = "IDLE"
        return m
