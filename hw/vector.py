"""Runs a vector descriptor: words from buffers or the queue of sums through the lanes and back."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from terntable.hw.kernel import delay
from terntable.hw.lanes import FROM_SUMS, GATED, VectorLanes
from terntable.hw.shapes import columns, integers, per_row
from terntable.hw.spec.program import Buffer, VecMode

__all__ = ["VectorUnit"]

#: Of the command: what its mode is, whether words are still to enter, and whether it is the last one.
FLAGS = data.StructLayout({"norm": 1, "gated": 1, "from_sums": 1, "more": 1, "final": 1})


class VectorUnit(wiring.Component):
    """Address generation, operand routing and the lanes.

    ==========  ======================================================
    Latency     `latency(mode, length)` cycles from an accepted command to `done`, when nothing is late
    Throughput  one word of `lanes` columns per cycle; GLU: a column per `rows / glu_units` cycles
    Stall       waits for norm weights and for sums; buffers never stall
    ==========  ======================================================

    Parameters
    ----------
    rows, lanes, word_bytes, outputs, glu_units : as in the configuration.
    sum_bits : width of a sum of the ternary engine.

    Members
    -------
    command : mode, source and destination buffer, columns of the destination (a multiple of `lanes`), first columns, 16-bit
        quantisation. CONVERT and all modes after it read sums, whatever `source` is.
    s, factor, factor2 : the row scalars S, F and F2.
    read_enable : of all three memories; x_address, y_address, rope_address their words; x, y, rope the data a cycle later.
    partial : the engine's sums, `outputs` columns of all rows a word.
    weights : stream words of binary32 norm weights.
    write_valid, destination, write_column, write_float, write_integer : result words and their first column.
    wait_word, wait_partial : a word could go on if norm weights, or sums, were there.

    """

    def __init__(self, *, rows: int, lanes: int, word_bytes: int, outputs: int, sum_bits: int, glu_units: int) -> None:
        if word_bytes % (4 * lanes):
            raise ValueError(f"word_bytes must be a multiple of 4 x lanes = {4 * lanes}, not {word_bytes}")
        if outputs % lanes:
            raise ValueError(f"outputs must be a multiple of lanes = {lanes}, not {outputs}")
        self.rows, self.lanes, self.word_bytes, self.outputs = rows, lanes, word_bytes, outputs
        self.unit = VectorLanes(rows=rows, lanes=lanes, sum_bits=sum_bits, glu_units=min(rows, glu_units))
        self.sum_bits, self.glu_units = sum_bits, self.unit.glu.units
        word = columns(rows=rows, lanes=lanes)
        super().__init__({
            "command": In(stream.Signature(data.StructLayout({
                "mode": 4, "source": 3, "destination": 3, "length": 16, "offset": 16, "offset2": 16, "bits16": 1}))),
            "s": In(per_row(rows=rows)), "factor": In(per_row(rows=rows)), "factor2": In(per_row(rows=rows)),
            "read_enable": Out(1), "x_address": Out(16), "y_address": Out(16), "rope_address": Out(16),
            "x": In(word), "y": In(word), "rope": In(word),
            "partial": In(stream.Signature(integers(rows=rows, lanes=outputs, width=sum_bits))),
            "weights": In(stream.Signature(8 * word_bytes)),
            "write_valid": Out(1), "destination": Out(3), "write_column": Out(16),
            "write_float": Out(word), "write_integer": Out(integers(rows=rows, lanes=lanes, width=16)),
            "amax": Out(per_row(rows=rows)), "sum": Out(per_row(rows=rows)),
            "wait_word": Out(1), "wait_partial": Out(1), "busy": Out(1), "invalid": Out(1), "done": Out(1),
        })

    def latency(self, mode: VecMode, length: int) -> int:
        """Cycles from an accepted command to `done` when sums and norm weights are there in time."""
        words, unit = length // self.lanes, self.unit
        if mode == VecMode.NORM:
            return words + unit.SUM_LATENCY + unit.SETTLE
        cycles = 2 * unit.turns * words if mode in GATED else words
        return cycles + unit.LATENCY[mode] + unit.SETTLE + 1 + (mode in FROM_SUMS)

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.lanes = unit = self.unit
        command = Signal.like(self.command.payload)
        shift = exact_log2(self.lanes)
        left = Signal(17)         # words to enter
        unwritten = Signal(16)
        address = Signal(16)      # word to read
        column = Signal(16)       # to write
        flags = Signal(FLAGS)
        running = Signal()
        norm = flags.norm
        m.d.comb += [
            self.destination.eq(command.destination),
            unit.en.eq(running), unit.mode.eq(command.mode), unit.bits16.eq(command.bits16),
            unit.from_y.eq(command.source != Buffer.X), unit.ended.eq(running & ~flags.more),
            unit.s.eq(self.s), unit.factor.eq(self.factor),
            unit.x.eq(self.x), unit.y.eq(self.y), unit.angle.eq(self.rope),
            self.read_enable.eq(unit.fetch),
            *(port.eq(address) for port in (self.x_address, self.y_address, self.rope_address)),
            self.amax.eq(unit.amax), self.sum.eq(unit.sum), self.invalid.eq(unit.invalid & running),
        ]
        for row in range(self.rows):
            m.d.comb += unit.factor2[row].eq(Mux(flags.gated, self.factor2[row], self.factor[row]))
        with m.If(unit.fetch):
            m.d.sync += address.eq(address + 1)

        with m.If(self._issue(m, flags)):
            m.d.sync += [left.eq(left - 1), flags.more.eq(~flags.final), flags.final.eq(left == 2)]

        m.d.comb += [
            self.write_valid.eq(unit.o_valid), self.write_column.eq(column),
            self.write_float.eq(unit.o_y), self.write_integer.eq(unit.o_q),
        ]
        with m.If(self.write_valid):
            m.d.sync += [unwritten.eq(unwritten - 1), column.eq(column + self.lanes)]

        settling, fresh = Signal(range(max(2, unit.SETTLE))), Signal()
        m.d.comb += unit.clear.eq(fresh)
        m.d.sync += fresh.eq(0)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.command.ready.eq(1)
                m.d.sync += command.eq(self.command.payload)
                with m.If(self.command.valid):
                    m.d.sync += self.busy.eq(1)
                    m.next = "PREPARE"
            with m.State("PREPARE"):
                words, gated = command.length >> shift, _among(command.mode, GATED)
                # A gate's column is made of two, so that its first word is never the last.
                m.d.sync += [
                    column.eq(command.offset2), unwritten.eq(words), left.eq(Mux(gated, words << 1, words)),
                    flags.norm.eq(command.mode == VecMode.NORM), flags.gated.eq(gated),
                    flags.from_sums.eq(_among(command.mode, FROM_SUMS)),
                    flags.more.eq(words != 0), flags.final.eq(~gated & (words == 1)),
                    address.eq(Mux(command.mode == VecMode.ROPE, 0,
                                   Mux(command.mode == VecMode.ADD, command.offset2, command.offset) >> shift)),
                    running.eq(1), fresh.eq(1),
                ]
                m.next = "RUN"
            with m.State("RUN"):
                m.d.sync += settling.eq(0)
                with m.If((unwritten == 0) & (~norm | unit.sum_valid) & ~fresh):
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                m.d.sync += settling.eq(settling + 1)
                with m.If(settling == unit.SETTLE - 2):
                    m.d.comb += self.done.eq(1)
                    m.d.sync += [running.eq(0), self.busy.eq(0)]
                    m.next = "IDLE"
        return m

    def _issue(self, m: Module, flags: data.View) -> Value:
        """Whether a word enters, with the sums or norm weights it takes; their words are wider and feed several."""
        norm, gated, from_sums, more, issue = flags.norm, flags.gated, flags.from_sums, flags.more, Signal()
        unit, sum_parts, weight_parts = self.unit, self.outputs // self.lanes, self.word_bytes // (4 * self.lanes)
        sum_part, weight_part = Signal(range(max(2, sum_parts))), Signal(range(max(2, weight_parts)))
        turn, idle = Signal(range(max(2, unit.turns))), Signal(init=1)    # a gated word stays for some cycles; idle: turn is 0
        there = Mux(norm, self.weights.valid, ~from_sums | self.partial.valid)
        m.d.comb += [
            issue.eq(more & idle & there),
            self.wait_word.eq(more & norm & ~self.weights.valid),
            self.wait_partial.eq(more & idle & from_sums & ~self.partial.valid),
            # Sums are held in a register first.
            unit.enter.eq(Mux(from_sums, delay(m, issue | ~idle, name="entered"), issue)),
        ]
        with m.If(Mux(idle, issue & gated, 1)):
            m.d.sync += [turn.eq(Mux(turn == unit.turns - 1, 0, turn + 1)), idle.eq(turn == unit.turns - 1)]

        sums = Signal.like(unit.sums, reset_less=True)
        gamma = Signal.like(unit.gamma, reset_less=True)
        m.d.comb += [unit.sums.eq(sums), unit.gamma.eq(gamma)]
        with m.If(issue):
            with m.Switch(sum_part):
                for part in range(sum_parts):
                    with m.Case(part):
                        m.d.sync += [sums[lane].eq(self.partial.payload[part * self.lanes + lane]) for lane in range(self.lanes)]
            m.d.sync += gamma.as_value().eq(self.weights.payload.word_select(weight_part, 32 * self.lanes))

        # What is left of a word of norm weights after the last column is padding; sums have none.
        last_part = Signal(init=weight_parts == 1)    # a register, as `ready` goes far
        weights_end = last_part | flags.final
        m.d.comb += [self.weights.ready.eq(more & idle & norm & weights_end),
                     self.partial.ready.eq(more & idle & from_sums & (sum_part == sum_parts - 1))]
        with m.If(issue & norm):
            m.d.sync += [weight_part.eq(Mux(weights_end, 0, weight_part + 1)),
                         last_part.eq(Mux(weights_end, weight_parts == 1, weight_part == (weight_parts - 2) % weight_parts))]
        with m.If(issue & from_sums):
            m.d.sync += sum_part.eq(Mux(sum_part == sum_parts - 1, 0, sum_part + 1))
        return issue


def _among(mode: Value, modes: tuple[VecMode, ...]) -> Value:
    return Cat(mode == one for one in modes).any()
