"""First half of attention: key records in, scores, their maxima and the value scales out.

The arithmetic is defined by its twin, :func:`terntable.models.golden.attention.attention_scores`.
"""

from amaranth import *
from amaranth.hdl import ValueLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from terntable.hw.attention_sizes import MASK_SLOTS, AttentionSizes, ScalePort, order
from terntable.hw.float_from_int import FloatFromInt
from terntable.hw.float_mul import FloatMul
from terntable.hw.int8_array import ArrayPort
from terntable.hw.kernel import delay, register

__all__ = ["AttentionScores"]


class AttentionScores(wiring.Component):
    """Scores of all slots and heads, in the order of the slots, heads of a slot together.

    ============  =====================================================
    Computes      ``attention_scores`` and ``maximum`` over the visible slots
    Latency       from ``start``: setup, then the key stream, then the pipeline's length
    Throughput    a key record takes beats x heads + 1 cycles
    Widths        scores and maxima float32; maxima as :func:`order` keys, 0 where nothing is visible
    Stall         waits for key beats; nothing behind it can stall
    ============  =====================================================

    Parameters
    ----------
    sizes : AttentionSizes

    Members
    -------
    start : In(1)
        Begin; ``job``, ``prefix`` and ``mask`` stay as they are until ``done``.
    done : Out(1)
        In the cycle of the last write.
    entry : In
        Score to read, slot x heads + head; ``score`` follows a cycle later.
    slot : In
        Slot to read: its value scale and the rows that see it, a cycle later.
    head : In
        Head whose maximum ``largest`` shows in the same cycle.

    """

    def __init__(self, *, sizes: AttentionSizes):
        rows, beat_bytes = sizes.rows, sizes.beat_bytes
        self.sizes = sizes
        words = data.ArrayLayout(32, rows)
        super().__init__({
            "start": In(1),
            "done": Out(1),
            "job": In(sizes.job),
            "prefix": In(words),
            "mask": In(data.ArrayLayout(MASK_SLOTS, rows)),
            "scales_address": Out(range(sizes.max_heads + 2)),
            "scales_data": In(words),
            "query_word": Out(sizes.word),
            "query_data": In(data.ArrayLayout(data.ArrayLayout(signed(8), beat_bytes), rows)),
            "kv": In(stream.Signature(8 * beat_bytes)),
            "array": Out(ArrayPort(rows=rows, lanes=beat_bytes)),
            "scale": Out(ScalePort(rows=rows, width=sizes.scale_bits)),
            "entry": In(range(sizes.entries)),
            "score": Out(words),
            "slot": In(range(sizes.max_context)),
            "value_scale": Out(32),
            "visible": Out(rows),
            "head": In(range(sizes.max_group)),
            "largest": Out(words),
            "largest_scale": Out(words),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        sizes, rows, job = self.sizes, range(self.sizes.rows), self.job
        running = Signal()
        with m.If(self.start):
            m.d.sync += running.eq(1)
        with m.Elif(self.done):
            m.d.sync += running.eq(0)
        m.d.comb += [self.array.en.eq(running), self.scale.en.eq(running)]

        # Setup: c = mul(DSLOT[head], imm), with the multiplier that later makes c x key scale.
        setup, setup_head = Signal(), Signal(range(sizes.max_group))
        Setup = data.StructLayout({"valid": 1, "last": 1, "head": range(sizes.max_group)})
        asked = Signal(Setup)
        m.d.comb += [
            self.scales_address.eq(job.first_head + setup_head),
            asked.valid.eq(setup),
            asked.last.eq(setup_head == job.heads - 1),
            asked.head.eq(setup_head),
        ]
        with m.If(self.start):
            m.d.sync += [setup.eq(1), setup_head.eq(0)]
        with m.Elif(setup):
            m.d.sync += [setup_head.eq(setup_head + 1), setup.eq(~asked.last)]
        fetched = delay(m, asked, name="fetched")
        made = delay(m, fetched, name="made", cycles=FloatMul.LATENCY)

        # Issue. A record's last key beat waits in `tail` until the scale beat shows, then both are used.
        Step = data.StructLayout({"valid": 1, "first": 1, "last": 1, "first_slot": 1, "final": 1,
                                  "head": range(sizes.max_group), "slot": range(sizes.max_context)})
        step = Signal(Step)
        keys, has_tail = Signal(), Signal()
        beat, head = Signal(range(sizes.beats)), Signal(range(sizes.max_group))
        slot = Signal(range(sizes.max_context))
        tail = Signal(8 * sizes.beat_bytes, reset_less=True)
        word, column_word = Signal(sizes.word), Signal(sizes.word)
        last_beat, last_head, last_slot, take_tail = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            last_beat.eq(beat == job.beats - 1),
            last_head.eq(head == job.heads - 1),
            last_slot.eq(slot == job.slots - 1),
            take_tail.eq(last_beat & ~has_tail),
            self.kv.ready.eq(keys & (take_tail | last_head)),
            self.query_word.eq(word),
            step.valid.eq(keys & self.kv.valid & ~take_tail),
            step.first.eq(beat == 0),
            step.last.eq(last_beat),
            step.first_slot.eq(slot == 0),
            step.final.eq(last_slot & last_head & last_beat),
            step.head.eq(head),
            step.slot.eq(slot),
        ]
        with m.If(made.valid & made.last):
            m.d.sync += [keys.eq(1), beat.eq(0), head.eq(0), slot.eq(0), word.eq(job.first_word),
                         column_word.eq(job.first_word)]
        with m.If(keys & self.kv.valid & take_tail):
            m.d.sync += [tail.eq(self.kv.payload), has_tail.eq(1)]
        with m.Elif(step.valid & ~last_head):
            m.d.sync += [head.eq(head + 1), word.eq(word + job.beats)]
        with m.Elif(step.valid & ~last_beat):
            m.d.sync += [head.eq(0), beat.eq(beat + 1)]
            m.d.sync += [word.eq(column_word + 1), column_word.eq(column_word + 1)]
        with m.Elif(step.valid):
            m.d.sync += [head.eq(0), beat.eq(0), has_tail.eq(0), slot.eq(slot + 1), keys.eq(~last_slot),
                         word.eq(job.first_word), column_word.eq(job.first_word)]

        # Products and their sum over the lanes.
        issued = delay(m, step, name="issued")
        weight = register(m, Mux(has_tail, tail, self.kv.payload), name="weight")
        scales = register(m, self.kv.payload[:64], name="scales")
        m.d.comb += self.array.weight.as_value().eq(weight)
        for row in rows:
            m.d.comb += [act.eq(q) for act, q in zip(self.array.act[row], self.query_data[row], strict=True)]

        # Who sees the slot; what is known of it is written once, with its first head.
        seen = Signal(sizes.rows)
        for row in rows:
            past, below = Signal(range(MASK_SLOTS), name=f"past_{row}"), Signal(name=f"below_{row}")
            near, difference = Signal(name=f"near_{row}"), Signal(33, name=f"difference_{row}")
            m.d.comb += difference.eq(slot - self.prefix[row])
            m.d.sync += [below.eq(difference[-1]), past.eq(difference), near.eq(difference < MASK_SLOTS)]
            m.d.sync += seen[row].eq(below | (near & self.mask[row].bit_select(past, 1)))
        known = delay(m, issued, name="known")
        value_scale = register(m, scales[32:], name="value_scale")
        write_slot = known.valid & known.last & (known.head == 0)
        SlotInfo = data.StructLayout({"value_scale": 32, "visible": sizes.rows})
        m.submodules.slots = slots = Memory(shape=SlotInfo, depth=sizes.max_context, init=[])
        slot_write, slot_read = slots.write_port(), slots.read_port()
        m.d.comb += [
            slot_write.addr.eq(known.slot), slot_write.en.eq(write_slot),
            slot_write.data.value_scale.eq(value_scale), slot_write.data.visible.eq(seen),
            slot_read.addr.eq(self.slot),
            self.value_scale.eq(slot_read.data.value_scale), self.visible.eq(slot_read.data.visible),
        ]
        for row in rows:
            key = Mux(seen[row], order(value_scale), 0)
            best = self.largest_scale[row]
            with m.If(write_slot & (known.first_slot | (key > best))):
                m.d.sync += best.eq(key)

        # Sums over the beats of a key.
        dot_latency = ArrayPort(rows=1, lanes=sizes.beat_bytes).dot_latency
        summed = delay(m, issued, name="summed", cycles=dot_latency)
        scored = delay(m, summed, name="scored")
        key_scale = register(m, scales[:32], name="key_scale", cycles=dot_latency + 1)
        score_flags = Signal(Step)
        m.d.comb += [score_flags.eq(scored), score_flags.valid.eq(scored.valid & scored.last)]
        written = delay(m, score_flags, name="written", cycles=ScalePort.LATENCY)
        seen_late = register(m, seen, name="seen_late", cycles=dot_latency + ScalePort.LATENCY)

        # Scores, in the order they come.
        entry = Signal(range(sizes.entries))
        word_shape = data.ArrayLayout(32, sizes.rows)
        m.submodules.scores = scores = Memory(shape=word_shape, depth=sizes.entries, init=[])
        score_write, score_read = scores.write_port(), scores.read_port()
        m.d.comb += [
            score_write.addr.eq(entry), score_write.en.eq(written.valid), score_write.data.eq(self.scale.y),
            score_read.addr.eq(self.entry), self.score.eq(score_read.data),
            self.done.eq(written.valid & written.final),
        ]
        with m.If(self.start):
            m.d.sync += entry.eq(0)
        with m.Elif(written.valid):
            m.d.sync += entry.eq(entry + 1)

        def per_head(name: str, shape: ValueLike, row: int) -> Memory:
            # A few words that must be read and written back in one cycle: distributed memory.
            m.submodules[f"{name}_{row}"] = memory = Memory(shape=shape, depth=sizes.max_group, init=[])
            return memory

        for row in rows:
            sums = per_head("sums", signed(sizes.score_bits), row)
            sum_read, sum_write = sums.read_port(domain="comb"), sums.write_port()
            total = Signal(signed(sizes.score_bits), name=f"total_{row}")
            m.d.comb += [
                total.eq(Mux(summed.first, 0, sum_read.data) + self.array.dot[row]),
                sum_read.addr.eq(summed.head), sum_write.addr.eq(summed.head),
                sum_write.en.eq(summed.valid), sum_write.data.eq(total),
            ]

            c = per_head("c", 32, row)
            c_read, c_write = c.read_port(domain="comb"), c.write_port()
            m.submodules[f"factor_{row}"] = factor = FloatMul()
            m.d.comb += [
                factor.en.eq(running),
                factor.a.eq(Mux(fetched.valid, self.scales_data[row], c_read.data)),
                factor.b.eq(Mux(fetched.valid, job.imm, key_scale)),
                c_read.addr.eq(scored.head), c_write.addr.eq(made.head),
                c_write.en.eq(made.valid), c_write.data.eq(factor.y),
            ]
            lag = FloatMul.LATENCY - FloatFromInt.LATENCY
            m.d.comb += [
                self.scale.a[row].eq(register(m, total, name=f"score_{row}", cycles=1 + max(lag, 0))),
                self.scale.b[row].eq(register(m, factor.y, name=f"factor_held_{row}", cycles=max(-lag, 0))),
            ]

            best = per_head("best", 32, row)
            best_old, best_read = best.read_port(domain="comb"), best.read_port(domain="comb")
            best_write = best.write_port()
            key = Signal(32, name=f"key_{row}")
            m.d.comb += [
                key.eq(Mux(seen_late[row], order(self.scale.y[row]), 0)),
                best_old.addr.eq(written.head), best_write.addr.eq(written.head), best_write.data.eq(key),
                best_write.en.eq(written.valid & (written.first_slot | (key > best_old.data))),
                best_read.addr.eq(self.head), self.largest[row].eq(best_read.data),
            ]
        return m
