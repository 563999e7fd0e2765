"""Attention of one key-value head and the query heads of its group.

The arithmetic is defined by its twin, :func:`terntable.models.golden.attention.attention`.
"""

from amaranth import *
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from terntable.hw.attention_factors import AttentionFactors
from terntable.hw.attention_scores import AttentionScores
from terntable.hw.attention_sizes import MASK_SLOTS, AttentionSizes
from terntable.hw.attention_values import AttentionValues
from terntable.hw.attention_weights import AttentionWeights
from terntable.hw.float_from_int import FloatFromInt
from terntable.hw.float_mul import FloatMul
from terntable.hw.int8_array import ArrayPort

__all__ = ["Attention"]

Command = data.StructLayout({"slots": 16, "first_head": 8, "heads": 8, "head_dim": 16, "imm": 32})


class Phase(enum.Enum):
    """What attention is doing; the sums of exponentials are inverted in WEIGH while values are summed up."""

    IDLE = 0
    SCORE = 1
    INVERT = 2
    WEIGH = 3
    OUTPUT = 4


class Attention(wiring.Component):
    """Softmax of the scaled products of queries and keys, times the values, for all rows.

    ============  =====================================================
    Computes      ``attention`` with ``visible``
    Latency       ``cycles`` of the twin, from the accepted command to ``done``
    Throughput    a record of keys takes beats x heads + 1 cycles, of values beats x heads
    Widths        INT8 in, exact integer sums, float32 out
    Stall         waits for beats of ``kv`` and for the taker of ``o``
    ============  =====================================================

    Parameters
    ----------
    rows, lanes : int
        Rows, and columns of an output word.
    beat_bytes : int
        Bytes of a ``kv`` beat, a power of two, at least 8.
    max_context, max_head_dim, max_heads : int
        Most slots; longest head, in columns; query heads that the buffers hold, of which one command takes
        at most ``max_group`` (all of them by default).

    Members
    -------
    command : In(stream)
        ``slots`` (at least 1) key and value records follow, for ``heads`` (at least 1) query heads from
        ``first_head`` on, of ``head_dim`` columns, a multiple of ``lanes``. ``imm`` is the float32
        log2(e) / sqrt(head_dim).
    prefix, mask : In(32 x rows), In(64 x rows)
        What each row sees; they stay as they are while ``busy``.
    scales_address, scales_data
        Read port of the query scales; the data is a cycle late.
    query_word, query_data
        Read port of the queries, each padded with zeros to whole words; the data is a cycle late.
    kv : In(stream)
        Key records, then value records.
    array : Out(ArrayPort)
        The multipliers; ``en`` is high while they are used.
    o : Out(stream)
        Words of ``lanes`` columns x rows, ``head_dim`` columns of each head.
    busy, done : Out(1)
        From the cycle after the command to that of the last word; the cycle after the last word.

    """

    def __init__(self, *, rows: int, lanes: int, beat_bytes: int, max_context: int, max_head_dim: int,
                 max_heads: int, max_group: int | None = None):
        max_group = max_heads if max_group is None else max_group
        if not 1 <= rows <= MASK_SLOTS:
            raise ValueError(f"rows must be 1..{MASK_SLOTS}, not {rows!r}")
        for name, value, least in (("lanes", lanes, 1), ("beat_bytes", beat_bytes, 8)):
            if value < least or value & (value - 1):
                raise ValueError(f"{name} must be a power of two of at least {least}, not {value!r}")
        if lanes > beat_bytes:
            raise ValueError(f"lanes must be at most beat_bytes = {beat_bytes}, not {lanes!r}")
        for name, value, most in (("max_context", max_context, 65535), ("max_head_dim", max_head_dim, 1024),
                                  ("max_heads", max_heads, 255), ("max_group", max_group, max_heads)):
            if not 1 <= value <= most:
                raise ValueError(f"{name} must be 1..{most}, not {value!r}")
        self.lanes = lanes
        self.sizes = sizes = AttentionSizes(rows=rows, beat_bytes=beat_bytes, max_context=max_context,
                                            max_head_dim=max_head_dim, max_heads=max_heads,
                                            max_group=max_group)
        words = data.ArrayLayout(32, rows)
        super().__init__({
            "command": In(stream.Signature(Command)),
            "prefix": In(words),
            "mask": In(data.ArrayLayout(MASK_SLOTS, rows)),
            "scales_address": Out(range(max_heads + 2)),
            "scales_data": In(words),
            "query_word": Out(sizes.word),
            "query_data": In(data.ArrayLayout(data.ArrayLayout(signed(8), beat_bytes), rows)),
            "kv": In(stream.Signature(8 * beat_bytes)),
            "array": Out(ArrayPort(rows=rows, lanes=beat_bytes)),
            "o": Out(stream.Signature(data.ArrayLayout(words, lanes))),
            "busy": Out(1),
            "done": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        sizes, rows = self.sizes, range(self.sizes.rows)
        m.submodules.scores = scores = AttentionScores(sizes=sizes)
        m.submodules.weights = weights = AttentionWeights(sizes=sizes)
        values = AttentionValues(sizes=sizes, lanes=self.lanes, ring_depth=weights.DEPTH)
        m.submodules.values = values
        m.submodules.factors = factors = AttentionFactors(sizes=sizes)
        phase = Signal(Phase)
        job = Signal(sizes.job)
        m.d.comb += [part.job.eq(job) for part in (scores, weights, values, factors)]

        # The ports of the parts, shared by phase.
        key_phase = phase == Phase.SCORE
        for part in (scores, values):
            m.d.comb += [part.kv.payload.eq(self.kv.payload), part.array.dot.eq(self.array.dot),
                         part.array.product.eq(self.array.product)]
        m.d.comb += [
            scores.kv.valid.eq(self.kv.valid & key_phase),
            values.kv.valid.eq(self.kv.valid & ~key_phase),
            self.kv.ready.eq(Mux(key_phase, scores.kv.ready, values.kv.ready)),
            self.array.en.eq(Mux(key_phase, scores.array.en, values.array.en)),
            self.array.weight.eq(Mux(key_phase, scores.array.weight, values.array.weight)),
            self.array.act.eq(Mux(key_phase, scores.array.act, values.array.act)),
            scores.prefix.eq(self.prefix), scores.mask.eq(self.mask),
            self.scales_address.eq(scores.scales_address), scores.scales_data.eq(self.scales_data),
            self.query_word.eq(scores.query_word), scores.query_data.eq(self.query_data),
            scores.entry.eq(weights.entry), weights.score.eq(scores.score),
            scores.slot.eq(weights.slot), weights.value_scale.eq(scores.value_scale),
            weights.visible.eq(scores.visible),
            scores.head.eq(weights.head), weights.largest.eq(scores.largest),
            weights.free.eq(values.free), weights.place.eq(values.place),
            values.level.eq(weights.level), values.weight.eq(weights.weight),
            factors.largest_scale.eq(scores.largest_scale), weights.inverse.eq(factors.inverse),
            weights.sum_head.eq(factors.sum_head), factors.sum.eq(weights.sum),
            factors.factor_head.eq(values.factor_head), values.factor.eq(factors.factor),
        ]
        for row in rows:
            m.d.comb += values.seen[row].eq(scores.largest_scale[row] != 0)
        connect(m, values.o, flipped(self.o))

        # One integer-to-float converter and multiplier a row serves the scores, the factors and the output.
        users = {Phase.SCORE: scores.scale, Phase.WEIGH: factors.scale, Phase.OUTPUT: values.scale}
        en = Signal()
        with m.Switch(phase):
            for user_phase, user in users.items():
                with m.Case(user_phase):
                    m.d.comb += en.eq(user.en)
        for row in rows:
            m.submodules[f"convert_{row}"] = convert = FloatFromInt(width=sizes.scale_bits)
            m.submodules[f"multiply_{row}"] = multiply = FloatMul()
            m.d.comb += [convert.en.eq(en), multiply.en.eq(en), multiply.a.eq(convert.y)]
            with m.Switch(phase):
                for user_phase, user in users.items():
                    with m.Case(user_phase):
                        m.d.comb += [convert.a.eq(user.a[row]), multiply.b.eq(user.b[row])]
            m.d.comb += [user.y[row].eq(multiply.y) for user in users.values()]

        command, beat_bits = self.command.payload, sizes.beat_bytes.bit_length() - 1
        start, summed, factored = Signal(), Signal(), Signal()
        m.d.comb += [
            self.command.ready.eq(phase == Phase.IDLE),
            self.busy.eq(phase != Phase.IDLE),
            scores.start.eq(start),
            factors.divide.eq(weights.done),
        ]
        m.d.sync += [start.eq(0), self.done.eq(0)]
        with m.Switch(phase):
            with m.Case(Phase.IDLE):
                m.d.sync += [job[name].eq(command[name]) for name in Command.members]
                m.d.sync += job.beats.eq((command.head_dim + sizes.beat_bytes - 1) >> beat_bits)
                with m.If(self.command.valid):
                    m.d.sync += [phase.eq(Phase.SCORE), start.eq(1)]
            with m.Case(Phase.SCORE):
                m.d.sync += job.first_word.eq(job.first_head * job.beats)
                m.d.comb += factors.invert.eq(scores.done)
                with m.If(scores.done):
                    m.d.sync += phase.eq(Phase.INVERT)
            with m.Case(Phase.INVERT):
                m.d.comb += [weights.start.eq(factors.inverted), values.start.eq(factors.inverted)]
                with m.If(factors.inverted):
                    m.d.sync += [phase.eq(Phase.WEIGH), summed.eq(0), factored.eq(0)]
            with m.Case(Phase.WEIGH):
                m.d.sync += [summed.eq(summed | values.done), factored.eq(factored | factors.divided)]
                m.d.comb += values.start_output.eq(summed & factored)
                with m.If(summed & factored):
                    m.d.sync += phase.eq(Phase.OUTPUT)
            with m.Case(Phase.OUTPUT):
                with m.If(values.finished):
                    m.d.sync += [phase.eq(Phase.IDLE), self.done.eq(1)]
        return m
