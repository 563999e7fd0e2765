"""First half of attention: sums over the lanes in, scores, their maxima and those of the value scales out.

The arithmetic is defined by its twin, :func:`terntable.models.golden.attention.attention_scores`.
"""

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from terntable.hw.attention_convert import AttentionConvert
from terntable.hw.attention_scales import AttentionScales
from terntable.hw.attention_sizes import MASK_SLOTS, AttentionSizes
from terntable.hw.float_mul import FloatMul
from terntable.hw.kernel import delay, register
from terntable.hw.spec.numbers import INVALID

__all__ = ["AttentionScores"]

#: The least pattern in the order that maxima are found in; it is INVALID.
NOTHING = 0xFFFFFFFF


class AttentionScores(wiring.Component):
    """Sums up the planes of each slot, scales the finished sums and keeps them.

    ============  =====================================================
    Computes      ``attention_scores``, and ``maximum`` of the scores and of the value scales over the visible slots
    Latency       from a step to its sum's write and to ``scored``: ``SUM`` and ``SCORED`` cycles past the dot's
    Throughput    a step per cycle
    Widths        sums exact, scores and maxima float32; the maximum of nothing is INVALID
    Stall         none
    ============  =====================================================

    A row's invisible slots get the score INVALID, which no exponential comes from.

    Parameters
    ----------
    sizes : AttentionSizes
    dot_latency, dot_bits : int
        From a step to ``low`` and ``high``, and their width.
    style : str
        What the memories are made of, see :class:`terntable.hw.column_memory.ColumnMemory`.

    Members
    -------
    start : In(1)
        Begin: read the query scales. ``job``, ``prefix`` and ``mask`` stay as they are.
    step : In
        Not before the query scales are there, and not twice for a slot within ``SPACING`` cycles.
    slot_address, slot_data
        Read port of the query scales; the data is a cycle late.
    low, high : In
        Sums over the halves of the lanes, for the step ``dot_latency`` ago.
    key_slot, key_second, key_scale, value_slot, value_second, value_scale
        Ports of :class:`terntable.hw.attention_scales.AttentionScales`.
    score, score_scale, held, y
        Ports of :class:`terntable.hw.attention_convert.AttentionConvert`.
    scored, scanned : Out(2)
        The last score, the last value scale of a head took part in its maximum: ``largest`` and ``largest_scale`` show it
        from the next cycle on.
    any_seen : Out(rows)
        The row sees a slot.
    read, read_slot, read_second, read_score
        Scores of a head whose scores are complete, two cycles after ``read_slot``. ``read`` and ``read_second`` stay as they are.

    """

    SUM, SCORED = 3, 3 + AttentionConvert.LATENCY
    SPACING = SUM + 2

    def __init__(self, *, sizes: AttentionSizes, dot_latency: int, dot_bits: int, scale_slots: int, style: str = "auto"):
        self.sizes, self.dot_latency, self.style = sizes, dot_latency, style
        rows = sizes.rows
        dots, both = data.ArrayLayout(signed(dot_bits), rows), data.ArrayLayout(sizes.floats, 2)
        super().__init__({
            "start": In(1), "job": In(sizes.job), "step": In(sizes.step),
            "prefix": In(sizes.floats), "mask": In(data.ArrayLayout(MASK_SLOTS, rows)),
            "slot_address": Out(range(max(2, scale_slots))), "slot_data": In(sizes.floats),
            "low": In(dots), "high": In(dots),
            "key_slot": Out(sizes.slot), "key_second": Out(1), "key_scale": In(32),
            "value_slot": Out(sizes.slot), "value_second": Out(1), "value_scale": In(32),
            "score": Out(data.ArrayLayout(signed(sizes.score_bits), rows)), "score_scale": Out(sizes.floats),
            "held": In(data.ArrayLayout(signed(sizes.score_bits), rows)), "y": In(sizes.floats),
            "scored": Out(2), "scanned": Out(2), "largest": Out(both), "largest_scale": Out(both), "any_seen": Out(rows),
            "read": In(1), "read_slot": In(sizes.slot), "read_second": In(1), "read_score": Out(sizes.floats),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        sizes, top = self.sizes, self.dot_latency
        # The step as it was n cycles ago; only what is valid needs a reset.
        at, valid = [self.step], [Value.cast(self.step.valid)]
        for n in range(1, self._scaled + 3):
            at.append(Signal(sizes.step, name=f"step_{n}", reset_less=True))
            m.d.sync += at[n].eq(at[n - 1])
            valid.append(delay(m, valid[n - 1], name=f"valid_{n}"))

        seen = self._seen(m, at[top - 1])
        seen_late = register(m, seen, name="seen_late", cycles=self._scaled - top - 1)
        with m.If(valid[top + 1]):
            m.d.sync += self.any_seen.eq(seen | Mux(at[top + 1].first, 0, self.any_seen))
        self._scan(m, at, valid, seen)
        self._sum(m, at, valid, seen_late)
        self._scale(m, at)
        self._maximum(m, at, valid, seen_late)
        return m

    @property
    def _scaled(self) -> int:
        """Cycles from a step to its ``y``."""
        return self.dot_latency + 1 + AttentionConvert.LATENCY

    def _seen(self, m: Module, step: data.View) -> Signal:
        """The rows that see the slot of `step`, two cycles later."""
        seen, bits = Signal(self.sizes.rows), len(step.slot)
        for row in range(self.sizes.rows):
            prefix = self.prefix[row]
            past, below, near = Signal(range(MASK_SLOTS)), Signal(name=f"below_{row}"), Signal(name=f"near_{row}")
            difference = Signal(signed(bits + 1), name=f"difference_{row}")
            m.d.comb += difference.eq(step.slot - prefix[:bits])
            m.d.sync += [
                below.eq(prefix[bits:].any() | (difference < 0)), past.eq(difference), near.eq(difference < MASK_SLOTS),
                seen[row].eq(below | (near & self.mask[row].bit_select(past, 1))),
            ]
        return seen

    def _scan(self, m: Module, at: list, valid: list, seen: Signal) -> None:
        """The largest value scale that each row sees, of one head after the other."""
        read, known = at[self.dot_latency - 1], self.dot_latency - 1 + AttentionScales.LATENCY
        scale = register(m, self.value_scale, name="value_scale_held")
        step, scanning = at[known + 1], valid[known + 1] & at[known + 1].scan
        ended = delay(m, scanning & step.last, name="scan_ended")
        second = at[known + 2].scan_second
        m.d.comb += [
            self.value_slot.eq(read.slot), self.value_second.eq(read.scan_second),
            self.scanned.eq(ended << second),
        ]
        for row, best in enumerate(_running_maximum(m, "scale", scanning, step.first,
                                                    register(m, seen, name="seen_scale"), [scale] * self.sizes.rows)):
            for head in (0, 1):
                with m.If(self.scanned[head]):
                    m.d.sync += self.largest_scale[head][row].eq(best)

    def _sum(self, m: Module, at: list, valid: list, seen_late: Value) -> None:
        """Products of the planes added up in the memory of their head, and at last the scores written there."""
        sizes, top, bits = self.sizes, self.dot_latency, self.sizes.score_bits
        scaled, written = self._scaled, top + self.SUM
        final, split = valid[scaled] & at[scaled].final, valid[top + 1] & at[top + 1].split
        reads = []
        for second in (0, 1):
            attrs = {} if self.style == "auto" else {"ram_style": self.style}
            memory = Memory(shape=data.ArrayLayout(32, sizes.rows), depth=sizes.max_context, init=[], attrs=attrs)
            m.submodules[f"scores_{second}"] = memory
            write, read = memory.write_port(), memory.read_port()
            reads.append(read)
            # Three kinds of words: scores, sums, and the second head's first sums, which come with the first head's last ones.
            mine, upper = final & (at[scaled].second == second), split & bool(second)
            scored, parted = delay(m, mine, name=f"scored_{second}"), delay(m, upper, name=f"parted_{second}")
            summed = valid[written] & ~at[written].final & (at[written].second == second)
            m.d.comb += [
                write.en.eq(scored | parted | summed),
                write.addr.eq(Mux(scored, at[scaled + 1].slot, Mux(parted, at[top + 2].slot, at[written].slot))),
                read.addr.eq(Mux(self.read & (self.read_second == second), self.read_slot, at[top - 1].slot)),
            ]
            for row in range(sizes.rows):
                word, integer = write.data[row], self.held[row]
                if second:
                    high = Signal(signed(bits), name=f"high_{row}", reset_less=True)
                    m.d.sync += high.eq(self.high[row])
                    integer = Mux(upper, high, integer)
                # Above the bits of a sum there is only the float.
                held = Signal(32, name=f"word_{second}_{row}", reset_less=True)
                m.d.sync += [held[:bits].eq(Mux(mine, self.y[row][:bits], integer)), held[bits:].eq(self.y[row][bits:])]
                with m.If(mine & ~seen_late[row]):
                    m.d.sync += held.eq(INVALID)
                m.d.comb += word.eq(held)

        for row in range(sizes.rows):
            part, old = (Signal(signed(bits), name=f"{name}_{row}", reset_less=True) for name in ("part", "old"))
            m.d.sync += [
                part.eq(self.low[row] + Mux(at[top].split, 0, self.high[row])),
                old.eq(Mux(at[top].second, *(read.data[row][:bits] for read in reversed(reads)))),
            ]
            with m.If(at[top].closing):
                m.d.sync += part.eq(0)
            with m.If(at[top].start):
                m.d.sync += old.eq(0)
            m.d.comb += [
                self.score[row].eq(part + old),
                self.read_score[row].eq(register(m, Mux(self.read_second, *(read.data[row] for read in reversed(reads))),
                                                 name=f"read_score_{row}")),
            ]

    def _scale(self, m: Module, at: list) -> None:
        """What sums are multiplied with, c x key scale; at first c = mul(query scale, imm) by the same multiplier."""
        due = self.dot_latency + 1 + AttentionConvert.FLOAT - FloatMul.LATENCY
        read = at[due - AttentionScales.LATENCY]
        given = [delay(m, self.start, name="given_0")]
        given.append(delay(m, given[0], name="given_1"))
        made = [delay(m, flag, name=f"made_{n}", cycles=FloatMul.LATENCY) for n, flag in enumerate(given)]
        setup = given[0] | given[1]
        m.d.comb += [
            self.slot_address.eq(self.job.first_slot + given[0]),
            self.key_slot.eq(read.slot), self.key_second.eq(read.second),
        ]
        for row in range(self.sizes.rows):
            m.submodules[f"factor_{row}"] = factor = FloatMul()
            c = [Signal(32, name=f"c_{head}_{row}", reset_less=True) for head in (0, 1)]
            for head in (0, 1):
                with m.If(made[head]):
                    m.d.sync += c[head].eq(factor.y)
            m.d.comb += [
                factor.en.eq(1),
                factor.a.eq(Mux(setup, self.slot_data[row], Mux(at[due].second, c[1], c[0]))),
                factor.b.eq(Mux(setup, self.job.imm, self.key_scale)),
                self.score_scale[row].eq(factor.y),
            ]

    def _maximum(self, m: Module, at: list, valid: list, seen_late: Value) -> None:
        """The largest score of each head that each row sees."""
        n = self._scaled + 1
        step, finished = at[n], valid[n] & at[n].final
        scores = [register(m, y, name=f"score_{row}") for row, y in enumerate(self.y)]
        m.d.comb += self.scored.eq(delay(m, finished & step.last, name="ended") << at[n + 1].second)
        for row, best in enumerate(_running_maximum(m, "score", finished, step.first,
                                                    register(m, seen_late, name="seen_last"), scores)):
            for head in (0, 1):
                with m.If(self.scored[head]):
                    m.d.sync += self.largest[head][row].eq(best)


def _running_maximum(m: Module, name: str, valid: Value, first: Value, seen: Value, values: list) -> list[Signal]:
    """For each row the largest of the values it saw since `first`; shown a cycle late."""
    found = []
    for row, value in enumerate(values):
        best = Signal(32, name=f"best_{name}_{row}", reset_less=True)
        # Patterns order as integers after turning negative ones round. Equal ones may count as larger.
        larger = Mux(value[31] ^ best[31], best[31], value[31] ^ (value[:31] > best[:31]))
        with m.If(valid & first & ~seen[row]):
            m.d.sync += best.eq(NOTHING)
        with m.Elif(valid & seen[row] & (first | larger)):
            m.d.sync += best.eq(value)
        found.append(best)
    return found
