"""Attention of the heads of one record: softmax of the scaled products of queries and keys, times the values.

The arithmetic is defined by its twin, :func:`terntable.models.golden.attention.attention`.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from terntable.hw.attention_convert import AttentionConvert
from terntable.hw.attention_factors import AttentionFactors
from terntable.hw.attention_planes import AttentionPlanes
from terntable.hw.attention_queries import AttentionQueries
from terntable.hw.attention_scales import AttentionScales
from terntable.hw.attention_scores import AttentionScores
from terntable.hw.attention_sizes import MASK_SLOTS, AttentionSizes
from terntable.hw.attention_values import AttentionValues
from terntable.hw.attention_weights import AttentionWeights
from terntable.hw.int8_array import ArrayPort
from terntable.hw.kernel import delay, register
from terntable.hw.shapes import columns, integers

__all__ = ["Attention"]

Command = data.StructLayout({"slots": 16, "first_slot": 8, "pack": 2, "head_dim": 16, "query_word": 16, "imm": 32})


class Attention(wiring.Component):
    """One query for each head of a record, for all rows; a record has one head or two.

    ============  =====================================================
    Computes      ``attention`` with ``visible``, of each head
    Latency       ``cycles`` of the twin, from the accepted command to ``done``
    Throughput    a beat of keys or values per cycle
    Widths        INT8 in, exact integer sums, float32 out
    Stall         waits for beats of ``kv`` and for the taker of ``o``
    ============  =====================================================

    The softmax of the first head runs while the keys of the second one stream, the second one's while the values of the first
    one do; weights are made one slot a cycle, so values follow them as soon as there is one.

    Parameters
    ----------
    rows, lanes : int
        Rows, and columns of a word of queries or output.
    beat_bytes, port_bytes : int
        Bytes of a ``kv`` beat and of a memory port's, powers of two of at least 8; a scale entry takes a port beat at least.
    max_context, max_head_dim : int
        Most slots; longest head, in columns.
    scale_slots, query_words : int
        Query scales and words of queries that there are.
    acc_bits : int
        Bits of an accumulator of the array.
    style : str
        What the large memories are made of, see :class:`terntable.hw.column_memory.ColumnMemory`.

    Members
    -------
    command : In(stream)
        ``slots`` (at least 1) of a record of ``pack`` (1 or 2) heads of ``head_dim`` columns, a multiple of ``lanes``; with two
        heads ``head_dim`` % beat_bytes is beat_bytes / 2. Their query scales are ``first_slot`` and the next one, their queries
        lie one behind the other from ``query_word`` on. ``imm`` is the float32 log2(e) / sqrt(head_dim).
    prefix, mask : In(32 x rows), In(64 x rows)
        What each row sees; they stay as they are while ``busy``.
    slot_address, slot_data
        Read port of the query scales; the data is a cycle late.
    query_address, query_data
        Read port of the queries; the data is a cycle late.
    kv : In(stream)
        Scales, key planes, value planes, as in :class:`terntable.hw.spec.layout.KvLayout`.
    array : Out(ArrayPort)
        The multipliers, in use while ``busy``.
    o : Out(stream)
        Words of ``lanes`` columns x rows, ``head_dim`` columns of each head.
    busy, done : Out(1)
        From the cycle after the command until the last word is taken and the array's accumulators are empty; the next cycle.
    wait_data : Out(1)
        A beat would be taken if there were one.

    """

    def __init__(self, *, rows: int, lanes: int, beat_bytes: int, port_bytes: int, max_context: int, max_head_dim: int,
                 scale_slots: int, query_words: int, acc_bits: int = 36, style: str = "auto"):
        if not 1 <= rows <= MASK_SLOTS:
            raise ValueError(f"rows must be 1..{MASK_SLOTS}, not {rows!r}")
        for name, value, least in (("lanes", lanes, 2), ("beat_bytes", beat_bytes, 8), ("port_bytes", port_bytes, 8)):
            if value < least or value & (value - 1):
                raise ValueError(f"{name} must be a power of two of at least {least}, not {value!r}")
        if port_bytes > beat_bytes:
            raise ValueError(f"port_bytes must be at most beat_bytes = {beat_bytes}, not {port_bytes!r}")
        for name, value, most in (("max_context", max_context, 65535), ("max_head_dim", max_head_dim, 1024),
                                  ("scale_slots", scale_slots, 256), ("query_words", query_words, 65536)):
            if not 1 <= value <= most:
                raise ValueError(f"{name} must be 1..{most}, not {value!r}")
        self.lanes, self.scale_slots, self.query_words, self.style = lanes, scale_slots, query_words, style
        self.port = ArrayPort(rows=rows, lanes=beat_bytes, load_lanes=lanes, acc_bits=acc_bits)
        self.sizes = sizes = AttentionSizes(rows=rows, lanes=lanes, beat_bytes=beat_bytes, port_bytes=port_bytes,
                                            max_context=max_context, max_head_dim=max_head_dim)
        if sizes.sum_bits > acc_bits:
            raise ValueError(f"max_context must be at most {1 << (max_context - 1).bit_length() - sizes.sum_bits + acc_bits}, "
                             f"what sums of {acc_bits} bits hold, not {max_context}")
        super().__init__({
            "command": In(stream.Signature(Command)),
            "prefix": In(sizes.floats), "mask": In(data.ArrayLayout(MASK_SLOTS, rows)),
            "slot_address": Out(range(max(2, scale_slots))), "slot_data": In(sizes.floats),
            "query_address": Out(range(max(2, query_words))), "query_data": In(integers(rows=rows, lanes=lanes, width=8)),
            "kv": In(stream.Signature(8 * beat_bytes)),
            "array": Out(self.port),
            "o": Out(stream.Signature(columns(rows=rows, lanes=lanes))),
            "busy": Out(1), "done": Out(1), "wait_data": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        sizes, port = self.sizes, self.port
        m.submodules.planes = planes = AttentionPlanes(sizes=sizes, unload_gap=port.unload_gap, spacing=AttentionScores.SPACING)
        m.submodules.queries = queries = AttentionQueries(sizes=sizes, query_words=self.query_words)
        m.submodules.scales = scales = AttentionScales(sizes=sizes)
        m.submodules.scores = scores = AttentionScores(sizes=sizes, dot_latency=port.dot_latency, dot_bits=port.dot_bits,
                                                       scale_slots=self.scale_slots, style=self.style)
        m.submodules.weights = weights = AttentionWeights(sizes=sizes, style=self.style)
        m.submodules.factors = factors = AttentionFactors(sizes=sizes)
        m.submodules.values = values = AttentionValues(sizes=sizes, unload_latency=port.unload_latency, acc_bits=port.acc_bits)
        start = self._command(m, planes, values, (planes, scores, weights, values))
        m.d.comb += [part.start.eq(start) for part in (planes, queries, scores, factors, values)]
        m.d.comb += queries.word.eq(planes.job.query_word)
        self._array(m, planes, queries, scores, weights, values)
        self._softmax(m, start, planes, scales, scores, weights, factors, values)
        return m

    def _command(self, m: Module, planes: AttentionPlanes, values: AttentionValues, parts: tuple) -> Signal:
        """The job that follows from a command, `busy` and `done`; the returned pulse starts all parts."""
        sizes, command = self.sizes, Signal(Command)
        beat, lane, paired = exact_log2(sizes.beat_bytes), exact_log2(sizes.lanes), command.pack[1]
        start, ended, last = Signal(), Signal(), Signal()
        job, columns_used, scale_bytes = Signal(sizes.job), Signal(17), Signal(32)
        entry = [exact_log2(max(8 * pack, sizes.port_bytes)) for pack in (1, 2)]
        m.d.comb += [
            self.command.ready.eq(~self.busy),
            last.eq(values.last & self.o.valid & self.o.ready),
            *(part.job.eq(job) for part in parts),
        ]
        # The job is made in two steps, the second of which goes on with a constant command.
        accepted = delay(m, self.command.valid & self.command.ready, name="accepted")
        m.d.sync += [
            start.eq(delay(m, accepted, name="prepared")),
            *(job[name].eq(command[name]) for name in ("first_slot", "query_word", "imm")),
            job.last.eq(command.slots - 1), job.before_last.eq(command.slots - 2), job.paired.eq(paired),
            columns_used.eq(Mux(paired, command.head_dim << 1, command.head_dim)),
            scale_bytes.eq(command.slots << Mux(paired, entry[1], entry[0])),
            job.last_plane.eq((columns_used - 1) >> beat), job.last_scale_beat.eq((scale_bytes - 1) >> beat),
            job.head_words.eq(command.head_dim >> lane), job.all_words.eq(columns_used >> lane),
            job.turn.eq(Mux(paired, command.head_dim >> beat, (columns_used - 1) >> beat)),
        ]
        m.d.sync += self.done.eq(0)
        with m.If(self.command.valid & self.command.ready):
            m.d.sync += [command.eq(self.command.payload), self.busy.eq(1), ended.eq(0)]
        with m.Elif((ended | last) & planes.idle):
            m.d.sync += [self.busy.eq(0), ended.eq(0), self.done.eq(1)]
        with m.Elif(last):
            m.d.sync += ended.eq(1)
        return start

    def _array(self, m: Module, planes: AttentionPlanes, queries: AttentionQueries, scores: AttentionScores,
               weights: AttentionWeights, values: AttentionValues) -> None:
        """Beats to the multipliers, with queries that stay there or weights that come along."""
        array, kv = self.array, self.kv
        lower, upper = register(m, planes.lower, name="lower"), register(m, planes.upper, name="upper")
        m.d.comb += [
            planes.kv_valid.eq(kv.valid), kv.ready.eq(planes.kv_ready), self.wait_data.eq(kv.ready & ~kv.valid),
            planes.loaded.eq(queries.loaded), queries.take.eq(planes.swap), queries.more.eq(planes.more),
            self.query_address.eq(queries.query_address), queries.query_data.eq(self.query_data),
            array.en.eq(self.busy), array.weight.eq(kv.payload), array.valid.eq(planes.step.valid | planes.value),
            array.direct.eq(planes.value), array.first.eq(planes.value_first), array.swap.eq(planes.swap),
            array.load.eq(queries.load), array.load_place.eq(queries.load_place), array.load_data.eq(queries.load_data),
            queries.load_ready.eq(array.load_ready), array.unload.eq(planes.unload),
            scores.low.eq(array.low), scores.high.eq(array.high), values.columns.eq(array.columns),
            weights.read.eq(planes.weight_read), weights.read_slot.eq(planes.weight_slot), planes.weighed.eq(weights.weighed),
            planes.room.eq(values.room), values.unload.eq(planes.unload), values.useful.eq(planes.useful),
        ]
        for row, act in enumerate(array.direct_act):
            first, second = weights.weights[0][row], weights.weights[1][row]
            m.d.comb += [act[0].eq(Mux(lower, second, first)), act[1].eq(Mux(upper, second, first))]

    def _softmax(self, m: Module, start: Signal, planes: AttentionPlanes, scales: AttentionScales, scores: AttentionScores,
                 weights: AttentionWeights, factors: AttentionFactors, values: AttentionValues) -> None:
        """One head's softmax after the other, and whose turn the shared units are."""
        m.submodules.convert = convert = AttentionConvert(sizes=self.sizes)
        paired = planes.job.paired
        scoring, scanned, weighing, second, pending = Signal(), Signal(), Signal(), Signal(), Signal(2)
        m.d.comb += weights.start.eq((pending & (1 << second)).any() & scanned & factors.inverted & ~weighing & ~factors.waiting)
        m.d.sync += [
            pending.eq((pending | scores.scored) & ~Mux(weights.start, 1 << second, 0)),
            scanned.eq(scanned | Mux(paired, scores.scanned[1], scores.scanned[0])),
            scoring.eq(scoring & ~Mux(paired, scores.scored[1], scores.scored[0])),
            second.eq(second ^ weights.start), weighing.eq((weighing | weights.start) & ~weights.summed),
        ]
        with m.If(start):
            m.d.sync += [scoring.eq(1), scanned.eq(0), weighing.eq(0), second.eq(0), pending.eq(0)]
        m.d.comb += [
            scales.paired.eq(paired), scales.data.eq(self.kv.payload),
            scales.write.eq(planes.scale_write), scales.beat.eq(planes.scale_beat),
            scales.key_slot.eq(scores.key_slot), scales.key_second.eq(scores.key_second), scores.key_scale.eq(scales.key_scale),
            scales.value_slot.eq(Mux(weighing, weights.value_slot, scores.value_slot)),
            scales.value_second.eq(Mux(weighing, weights.head, scores.value_second)),
            scores.value_scale.eq(scales.value_scale), weights.value_scale.eq(scales.value_scale),
            scores.step.eq(planes.step), planes.closed.eq(scores.scored[0]),
            scores.prefix.eq(self.prefix), scores.mask.eq(self.mask),
            self.slot_address.eq(scores.slot_address), scores.slot_data.eq(self.slot_data),
            weights.clear.eq(start), weights.second.eq(second), weights.largest.eq(scores.largest),
            scores.read.eq(weights.running), scores.read_slot.eq(weights.slot), scores.read_second.eq(weights.head),
            weights.score.eq(scores.read_score), weights.inverse.eq(factors.inverse),
            factors.paired.eq(paired), factors.scanned.eq(scores.scanned), factors.largest_scale.eq(scores.largest_scale),
            factors.taken.eq(weights.start), factors.summed.eq(weights.summed), factors.may_convert.eq(~scoring),
            factors.en.eq(values.en), factors.floats.eq(convert.floats),
            convert.en.eq(values.en), convert.scoring.eq(scoring), convert.summing.eq(factors.convert),
            convert.score.eq(scores.score), convert.sum.eq(weights.sum), convert.column.eq(values.column),
            convert.score_scale.eq(scores.score_scale), convert.column_scale.eq(values.column_scale),
            scores.held.eq(convert.held), scores.y.eq(convert.y), values.y.eq(convert.y),
            values.factored.eq(factors.factored), values.factor.eq(factors.factor), values.seen.eq(scores.any_seen),
            values.hold.eq(scoring | factors.asks),
        ]
        connect(m, values.o, flipped(self.o))
