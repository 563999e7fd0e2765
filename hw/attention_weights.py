"""The softmax of attention: scores in, integer weights and the sums of the exponentials out.

The arithmetic is defined by its twin, :func:`terntable.models.golden.attention.attention_weights`.
"""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from terntable.hw.attention_sizes import AttentionSizes, unorder
from terntable.hw.exp2 import Exp2
from terntable.hw.float_add import FloatAdd
from terntable.hw.float_mul import FloatMul
from terntable.hw.float_to_fixed import FloatToFixed
from terntable.hw.float_to_int import FloatToInt
from terntable.hw.kernel import delay, register

__all__ = ["WEIGHT_BITS", "AttentionWeights"]

#: Bits, with the sign, of the value scales and of the weights that values are multiplied with.
WEIGHT_BITS = 17


class AttentionWeights(wiring.Component):
    """Weights of all slots and heads, a few ahead of their use.

    ============  =====================================================
    Computes      ``attention_weights``
    Latency       ``LATENCY`` cycles from ``start`` to ``level`` 1
    Throughput    one weight for each row per cycle while the ring has room
    Widths        weights 17 bits signed, sums of exponentials unsigned and exact
    Stall         asks for no more scores than the ring holds; what is on its way finishes
    ============  =====================================================

    Parameters
    ----------
    sizes : AttentionSizes

    Members
    -------
    start : In(1)
        Begin. ``job`` and ``inverse`` (65536 / largest value scale) stay as they are until ``done``.
    done : Out(1)
        In the cycle of the last write.
    entry, slot, head : Out
        Addresses of ``score``, of ``value_scale`` and ``visible`` (a cycle later) and of ``largest`` (the
        same cycle).
    level : Out
        Weights in the ring.
    free : In(1)
        The weights of a slot, one for each head, leave the ring.
    place : In
        Weight to read, counted from the oldest; ``weight`` follows a cycle later.
    sum_head : In
        Head whose ``sum`` of exponentials shows in the same cycle.

    Attributes
    ----------
    DEPTH : int
        Weights that the ring holds: two slots and the pipeline.

    """

    LATENCY = 4 + FloatAdd.LATENCY + FloatToFixed.LATENCY + Exp2.LATENCY

    def __init__(self, *, sizes: AttentionSizes):
        self.sizes = sizes
        self.DEPTH = 1 << (2 * sizes.max_group + self.LATENCY).bit_length()
        words = data.ArrayLayout(32, sizes.rows)
        super().__init__({
            "start": In(1),
            "done": Out(1),
            "job": In(sizes.job),
            "inverse": In(words),
            "entry": Out(range(sizes.entries)),
            "score": In(words),
            "slot": Out(range(sizes.max_context)),
            "value_scale": In(32),
            "visible": In(sizes.rows),
            "head": Out(range(sizes.max_group)),
            "largest": In(words),
            "level": Out(range(self.DEPTH + 1)),
            "free": In(1),
            "place": In(range(self.DEPTH)),
            "weight": Out(data.ArrayLayout(signed(WEIGHT_BITS), sizes.rows)),
            "sum_head": In(range(sizes.max_group)),
            "sum": Out(data.ArrayLayout(sizes.exponential_bits, sizes.rows)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        sizes, job = self.sizes, self.job
        running, asking = Signal(), Signal()
        with m.If(self.start):
            m.d.sync += running.eq(1)
        with m.Elif(self.done):
            m.d.sync += running.eq(0)

        # Ask for a score when its weight will find room.
        Flags = data.StructLayout({"valid": 1, "first_slot": 1, "final": 1, "head": range(sizes.max_group)})
        ask = Signal(Flags)
        room = Signal(range(self.DEPTH + 1), init=self.DEPTH)
        last_head = Signal()
        m.d.comb += [
            last_head.eq(self.head == job.heads - 1),
            ask.valid.eq(asking & (room != 0)),
            ask.first_slot.eq(self.slot == 0),
            ask.final.eq(last_head & (self.slot == job.slots - 1)),
            ask.head.eq(self.head),
        ]
        m.d.sync += room.eq(room - ask.valid + Mux(self.free, job.heads, 0))
        with m.If(self.start):
            m.d.sync += [asking.eq(1), room.eq(self.DEPTH)]
            m.d.sync += [self.entry.eq(0), self.slot.eq(0), self.head.eq(0)]
        with m.Elif(ask.valid):
            m.d.sync += [
                asking.eq(~ask.final),
                self.entry.eq(self.entry + 1),
                self.head.eq(Mux(last_head, 0, self.head + 1)),
                self.slot.eq(self.slot + last_head),
            ]

        # The exponential takes longer than the value scale, which waits before its two units.
        exponential_latency = FloatAdd.LATENCY + FloatToFixed.LATENCY + Exp2.LATENCY
        wait = exponential_latency - FloatMul.LATENCY - FloatToInt.LATENCY
        read = delay(m, ask, name="read")
        largest = register(m, self.largest, name="largest_held")
        value_scale = register(m, self.value_scale, name="value_scale_held", cycles=wait)
        ready = delay(m, read, name="ready", cycles=exponential_latency)
        visible = register(m, self.visible, name="visible_held", cycles=exponential_latency)
        written = delay(m, ready, name="written")

        base, newest = Signal(range(self.DEPTH)), Signal(range(self.DEPTH))
        Word = data.ArrayLayout(signed(WEIGHT_BITS), sizes.rows)
        m.submodules.ring = ring = Memory(shape=Word, depth=self.DEPTH, init=[])
        ring_write, ring_read = ring.write_port(), ring.read_port()
        m.d.comb += [
            ring_write.addr.eq(newest), ring_write.en.eq(written.valid),
            ring_read.addr.eq(base + self.place), self.weight.eq(ring_read.data),
            self.done.eq(written.valid & written.final),
        ]
        m.d.sync += self.level.eq(self.level + written.valid - Mux(self.free, job.heads, 0))
        with m.If(self.start):
            m.d.sync += [base.eq(0), newest.eq(0), self.level.eq(0)]
        with m.Else():
            m.d.sync += [newest.eq(newest + written.valid), base.eq(base + Mux(self.free, job.heads, 0))]

        for row in range(sizes.rows):
            m.submodules[f"difference_{row}"] = difference = FloatAdd()
            m.submodules[f"fixed_{row}"] = fixed = FloatToFixed()
            m.submodules[f"exponential_{row}"] = exponential = Exp2()
            m.submodules[f"relative_{row}"] = relative = FloatMul()
            m.submodules[f"scale_{row}"] = scale = FloatToInt(width=WEIGHT_BITS)
            m.d.comb += [unit.en.eq(running) for unit in (difference, fixed, exponential, relative, scale)]
            m.d.comb += [
                difference.a.eq(unorder(largest[row])), difference.b.eq(self.score[row]),
                difference.sub.eq(1),
                fixed.a.eq(difference.y), exponential.x.eq(fixed.y),
                relative.a.eq(value_scale), relative.b.eq(self.inverse[row]), scale.a.eq(relative.y),
            ]
            seen = visible[row]
            e = register(m, Mux(seen, exponential.y, 0), name=f"e_{row}")
            product = register(m, Mux(seen, exponential.y, 0) * scale.y, name=f"product_{row}")
            m.d.comb += ring_write.data[row].eq((product + (1 << 15)) >> 16)

            sums = Memory(shape=sizes.exponential_bits, depth=sizes.max_group, init=[])
            m.submodules[f"sums_{row}"] = sums
            old, shown = sums.read_port(domain="comb"), sums.read_port(domain="comb")
            sum_write = sums.write_port()
            m.d.comb += [
                old.addr.eq(written.head), sum_write.addr.eq(written.head), sum_write.en.eq(written.valid),
                sum_write.data.eq(Mux(written.first_slot, 0, old.data) + e),
                shown.addr.eq(self.sum_head), self.sum[row].eq(shown.data),
            ]
        return m
