"""The order of attention: which beat is taken when, and what happens to it.

The arithmetic around it is defined by the twin of attention, :func:`terntable.models.golden.attention.attention`.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.attention_sizes import AttentionSizes

__all__ = ["AttentionPlanes"]


class AttentionPlanes(wiring.Component):
    """Takes scales, key planes and value planes, and empties the accumulators after each value plane.

    ============  =====================================================
    Throughput    a beat per cycle; key planes follow without a pause when the next queries are there
    Stall         waits for beats, queries, weights of the first slot, and room for output words
    ============  =====================================================

    A slot's sum is written before the next plane comes to it: where there are fewer slots than that takes, the next plane waits.

    Parameters
    ----------
    sizes : AttentionSizes
    unload_gap : int
        Cycles from the last beat of a value plane to the first ``unload``.
    spacing : int
        Cycles that a step must come after the last one of the same slot.

    Members
    -------
    start : In(1)
        Begin; ``job`` stays as it is until ``idle``.
    kv_valid, kv_ready
        Handshake of the beats.
    scale_write, scale_beat : Out
        The beat is that of the scales.
    loaded, swap, more
        The next plane's queries wait; they become active; there are more after them.
    step : Out(AttentionSizes.step)
        A key beat is taken, or a slot of the closing pass.
    closed : In(1)
        The last score of the first head is known.
    value : Out(1)
        A value beat is taken; ``value_first``: of slot 0.
    weight_read, weight_slot : Out
        Read port of the weights, which are due with the value beat a cycle later.
    lower, upper : Out(1)
        Lanes of the lower, of the upper half belong to the second head.
    weighed : In(2)
        The first weight of each head is written; the others follow one a cycle.
    unload, useful : Out(1)
        The next word of sums; it holds columns of a head.
    room : In(1)
        Room for a useful word.
    idle : Out(1)
        Every beat is taken and every word unloaded.

    """

    def __init__(self, *, sizes: AttentionSizes, unload_gap: int, spacing: int):
        self.sizes, self.unload_gap, self.spacing = sizes, unload_gap, spacing
        super().__init__({
            "start": In(1), "job": In(sizes.job), "idle": Out(1),
            "kv_valid": In(1), "kv_ready": Out(1),
            "scale_write": Out(1), "scale_beat": Out(range(sizes.scale_beats)),
            "loaded": In(1), "swap": Out(1), "more": Out(1),
            "step": Out(sizes.step), "closed": In(1),
            "value": Out(1), "value_first": Out(1), "weight_read": Out(1), "weight_slot": Out(sizes.slot),
            "lower": Out(1), "upper": Out(1), "weighed": In(2),
            "unload": Out(1), "useful": Out(1), "room": In(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        sizes, job, step = self.sizes, self.job, self.step
        # One of these says where a command is. In `closing` the second head's scores are finished without a plane.
        scaling, keys, closing, values, emptying = Signal(), Signal(), Signal(), Signal(), Signal()
        # Beats of keys, of values are taken; the closing pass goes on.
        keying, valuing, passing, running = Signal(), Signal(), Signal(), Signal()
        slot, plane, at_last, only = Signal(sizes.slot), Signal(range(sizes.planes + 1)), Signal(), Signal()    # only: one slot
        taken, keyed, valued, last_key, at_key = Signal(), Signal(), Signal(), Signal(), Signal()    # at_key: keying & at_last
        last_scale, before_last_scale, last_place, emptied = Signal(), Signal.like(job.last_scale_beat), Signal(), Signal()
        # What `plane` is stands in registers, that move with it.
        turn, past_turn, last_plane = Signal(), Signal(), Signal()
        after = Signal.like(plane)
        m.d.comb += after.eq(Mux(self.start | (keying & last_plane), 0, plane + 1))
        with m.If(self.start | keyed | emptied):
            m.d.sync += [plane.eq(after), turn.eq(after == job.turn), past_turn.eq(after > job.turn),
                         last_plane.eq(after == job.last_plane)]
        # A beat's `valid` comes late in its cycle, so that the rest of each condition is made beside it.
        m.d.comb += [
            running.eq(keying | valuing),
            keyed.eq(self.kv_valid & at_key), valued.eq(self.kv_valid & (valuing & at_last)),
            last_key.eq(self.kv_valid & (at_key & last_plane)),
            emptied.eq(self.unload & last_place),
            self.idle.eq(~(scaling | keys | closing | values | emptying)),
            self.kv_ready.eq(scaling | running),
            taken.eq(self.kv_valid & running | passing),
            self.scale_write.eq(scaling & self.kv_valid),
        ]
        m.d.sync += [only.eq(job.last == 0), before_last_scale.eq(job.last_scale_beat - 1)]
        with m.If(taken):
            m.d.sync += slot.eq((slot + 1)[:len(slot)] & (~at_last).replicate(len(slot)))
        with m.If(taken | scaling):
            m.d.sync += at_last.eq(Mux(at_last | scaling, only, slot == job.before_last))
        with m.If(self.swap | (keying & self.kv_valid)):
            m.d.sync += at_key.eq(Mux(self.swap, only, (slot == job.before_last) & ~at_key))

        # Key planes: `plane` is the one that streams, `begun` counts those that were swapped in.
        begun = Signal(range(sizes.planes + 1))
        # Queries that were loaded while a plane waited for its beats would let the next one follow at once.
        few, pausing, recent = Signal(), Signal(), Signal(self.spacing - 3)
        m.d.sync += [few.eq(job.last < self.spacing - 1), recent.eq(Cat(keyed, recent)), pausing.eq(few & (keyed | recent.any()))]
        m.d.comb += [
            self.more.eq(begun != job.last_plane),
            self.swap.eq(self.kv_valid & (at_key & ~few & self.loaded) | (keys & ~keying & ~pausing & self.loaded)),
            step.valid.eq(keying & self.kv_valid | passing),
            step.slot.eq(slot),
            step.first.eq(slot == 0),
            step.last.eq(at_last),
            step.second.eq(past_turn | closing),
            step.start.eq((plane == 0) & ~closing),
            step.final.eq(turn | last_plane | closing),
            step.split.eq(job.paired & turn & ~closing),
            step.closing.eq(closing),
            step.scan_second.eq(closing | (job.paired & turn & (plane != 0))),
            step.scan.eq((plane == 0) | step.scan_second),
        ]

        # Value planes: weights are read a cycle ahead of their beat.
        prime = Signal()
        m.d.comb += [
            self.lower.eq(past_turn),
            self.upper.eq(job.paired & (turn | past_turn)),
            prime.eq(values & ~valuing & (self.weighed[0] | self.lower) & (self.weighed[1] | ~self.upper)),
            self.value.eq(valuing & self.kv_valid),
            self.value_first.eq(slot == 0),
            self.weight_read.eq(prime | self.value),
            self.weight_slot.eq(Mux(valuing, slot + 1, 0)),
        ]

        # The accumulators, a word at a time; those behind the last column are only emptied.
        gap, place, left = Signal(range(self.unload_gap)), Signal(range(sizes.words)), Signal.like(job.all_words)
        settled = Signal()                                   # `emptying` since the gap
        m.d.comb += self.unload.eq(settled & (self.room | ~self.useful))

        with m.If(self.start):
            m.d.sync += [scaling.eq(1), begun.eq(0), left.eq(job.all_words), self.useful.eq(1), self.scale_beat.eq(0)]
        with m.If(self.start | self.scale_write):
            m.d.sync += last_scale.eq(Mux(self.start, job.last_scale_beat == 0, self.scale_beat == before_last_scale))
        with m.If(self.scale_write):
            m.d.sync += self.scale_beat.eq(self.scale_beat + 1)
            with m.If(last_scale):
                m.d.sync += [scaling.eq(0), keys.eq(1)]
        with m.If(keyed):
            m.d.sync += keying.eq(0)
        with m.If(self.swap):
            m.d.sync += [keying.eq(1), begun.eq(begun + 1)]
        with m.If(last_key):
            m.d.sync += [keys.eq(0), closing.eq(job.paired & turn), values.eq(~(job.paired & turn))]
        with m.If(closing & self.closed):
            m.d.sync += passing.eq(1)
        with m.If(passing & at_last):
            m.d.sync += [passing.eq(0), closing.eq(0), values.eq(1)]
        with m.If(prime):
            m.d.sync += valuing.eq(1)
        with m.If(valued):
            m.d.sync += [valuing.eq(0), values.eq(0), emptying.eq(1)]
        m.d.sync += [gap.eq(Mux(emptying, gap + 1, 0)), settled.eq(emptying & (settled | (gap == self.unload_gap - 2)))]
        with m.If(self.unload):
            m.d.sync += [place.eq(place + 1), last_place.eq(place == sizes.words - 2)]
            m.d.sync += [left.eq(left - 1), self.useful.eq(self.useful & (left != 1))]
        with m.If(emptied):
            m.d.sync += [emptying.eq(0), settled.eq(0), values.eq(~last_plane)]
        return m
