"""Second half of attention: value records and weights in, weighted sums and at last the output out.

The arithmetic is defined by its twin, :func:`terntable.models.golden.attention.attention`.
"""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from terntable.hw.attention_sizes import AttentionSizes, ScalePort
from terntable.hw.attention_weights import WEIGHT_BITS
from terntable.hw.float_from_int import FloatFromInt
from terntable.hw.int8_array import ArrayPort
from terntable.hw.kernel import delay, register

__all__ = ["AttentionValues"]


class AttentionValues(wiring.Component):
    """Sums of weight x value for each head and column, then those sums times the factor of their head.

    ============  =====================================================
    Computes      ``weights @ value`` in integers, then ``mul(from_int(sum), factor)``
    Latency       ``SUM_LATENCY`` from the last beat to ``done``; ``OUTPUT_LATENCY`` + lanes from
                  ``start_output`` to the first word
    Throughput    a beat of values takes a cycle for each head; the output moves a column per cycle
    Widths        sums exact; output float32
    Stall         waits for weights and values; the output pipeline stands still while a word waits
    ============  =====================================================

    Parameters
    ----------
    sizes : AttentionSizes
    lanes : int
        Columns of an output word.

    Members
    -------
    start, start_output : In(1)
        Begin to sum up; begin to put out. ``job`` and ``seen`` (rows that see any slot) stay as they are.
    done : Out(1)
        In the cycle of the last sum's write.
    finished : Out(1)
        In the cycle in which the last word is taken.
    level, free, place, weight
        The ring of :class:`terntable.hw.attention_weights.AttentionWeights`.
    factor_head : Out
        Head whose ``factor`` is wanted in the same cycle.
    o : Out(stream)
        Words of ``lanes`` columns x rows, heads in order.

    """

    SUM_LATENCY = 2
    OUTPUT_LATENCY = 3 + ScalePort.LATENCY

    def __init__(self, *, sizes: AttentionSizes, lanes: int, ring_depth: int):
        rows, beat_bytes = sizes.rows, sizes.beat_bytes
        self.sizes, self.lanes = sizes, lanes
        words = data.ArrayLayout(32, rows)
        super().__init__({
            "start": In(1),
            "start_output": In(1),
            "done": Out(1),
            "finished": Out(1),
            "job": In(sizes.job),
            "seen": In(rows),
            "kv": In(stream.Signature(8 * beat_bytes)),
            "array": Out(ArrayPort(rows=rows, lanes=beat_bytes)),
            "scale": Out(ScalePort(rows=rows, width=sizes.scale_bits)),
            "level": In(range(ring_depth + 1)),
            "free": Out(1),
            "place": Out(range(ring_depth)),
            "weight": In(data.ArrayLayout(signed(WEIGHT_BITS), rows)),
            "factor_head": Out(range(sizes.max_group)),
            "factor": In(words),
            "o": Out(stream.Signature(data.ArrayLayout(words, lanes))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        sizes, job, bits = self.sizes, self.job, self.sizes.scale_bits
        rows, lanes = range(sizes.rows), range(sizes.beat_bytes)
        address_shape = range(sizes.beats * sizes.max_group)

        # Issue: each beat of values meets the weights of all heads, one after another.
        Step = data.StructLayout({"valid": 1, "first_slot": 1, "final": 1, "address": address_shape})
        step = Signal(Step)
        summing, slot = Signal(), Signal(range(sizes.max_context))
        beat, head = Signal(range(sizes.beats)), Signal(range(sizes.max_group))
        address = Signal(address_shape)
        last_beat, last_head, last_slot, has_weight = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            last_beat.eq(beat == job.beats - 1),
            last_head.eq(head == job.heads - 1),
            last_slot.eq(slot == job.slots - 1),
            has_weight.eq(self.level > head),
            self.kv.ready.eq(summing & has_weight & last_head),
            self.place.eq(head),
            self.free.eq(step.valid & last_head & last_beat),
            step.valid.eq(summing & has_weight & self.kv.valid),
            step.first_slot.eq(slot == 0),
            step.final.eq(last_slot & last_beat & last_head),
            step.address.eq(address),
        ]
        with m.If(self.start):
            m.d.sync += [summing.eq(1), slot.eq(0), beat.eq(0), head.eq(0), address.eq(0)]
        with m.Elif(step.valid):
            m.d.sync += [
                summing.eq(~step.final),
                head.eq(Mux(last_head, 0, head + 1)),
                address.eq(Mux(last_head & last_beat, 0, address + 1)),
            ]
            with m.If(last_head):
                m.d.sync += [beat.eq(Mux(last_beat, 0, beat + 1)), slot.eq(slot + last_beat)]

        issued = delay(m, step, name="issued")
        value = register(m, self.kv.payload, name="value")
        m.d.comb += self.array.weight.as_value().eq(value)
        for row in rows:
            m.d.comb += [act.eq(self.weight[row]) for act in self.array.act[row]]
        product_latency = ArrayPort(rows=1, lanes=sizes.beat_bytes).product_latency
        multiplied = delay(m, issued, name="multiplied", cycles=product_latency)
        running = Signal()
        with m.If(self.start):
            m.d.sync += running.eq(1)
        with m.Elif(self.done):
            m.d.sync += running.eq(0)
        m.d.comb += [self.array.en.eq(running), self.done.eq(multiplied.valid & multiplied.final)]

        # Output: heads in order, and of each head its beats, lane by lane. `en` moves all of it.
        Column = data.StructLayout({"valid": 1, "last": 1, "lane": lanes, "head": range(sizes.max_group)})
        column = Signal(Column)
        sending, en = Signal(), Signal()
        out_head, out_column = Signal(range(sizes.max_group)), Signal(range(sizes.beats * sizes.beat_bytes))
        out_address = Signal(address_shape)
        last_column, end_of_beat = Signal(), Signal()
        m.d.comb += [
            en.eq(~self.o.valid | self.o.ready),
            last_column.eq(out_column == job.head_dim - 1),
            column.lane.eq(out_column),
            end_of_beat.eq(column.lane.all()),
            column.valid.eq(sending),
            column.last.eq(last_column & (out_head == job.heads - 1)),
            column.head.eq(out_head),
        ]
        with m.If(self.start_output):
            m.d.sync += [sending.eq(1), out_head.eq(0), out_column.eq(0), out_address.eq(0)]
        with m.Elif(sending & en):
            m.d.sync += out_column.eq(out_column + 1)
            with m.If(last_column):
                m.d.sync += [out_column.eq(0), out_head.eq(out_head + 1), out_address.eq(out_head + 1),
                             sending.eq(~column.last)]
            with m.Elif(end_of_beat):
                m.d.sync += out_address.eq(out_address + job.heads)

        # The sums: read, added to and written in one cycle, hence distributed memory.
        sums = [[Signal(signed(bits), name=f"sum_{row}_{lane}") for lane in lanes] for row in rows]
        read_address = Signal(address_shape)
        m.d.comb += read_address.eq(Mux(running, multiplied.address, out_address))
        for row in rows:
            for lane in lanes:
                memory = Memory(shape=signed(bits), depth=len(address_shape), init=[])
                m.submodules[f"sums_{row}_{lane}"] = memory
                read, write = memory.read_port(domain="comb"), memory.write_port()
                m.d.comb += [
                    read.addr.eq(read_address), sums[row][lane].eq(read.data),
                    write.addr.eq(multiplied.address), write.en.eq(multiplied.valid),
                    write.data.eq(Mux(multiplied.first_slot, 0, read.data) + self.array.product[row][lane]),
                ]

        with m.If(en):
            held = delay(m, column, name="held")
            picked = delay(m, held, name="picked")
            due = delay(m, picked, name="due", cycles=FloatFromInt.LATENCY)
            leaving = delay(m, due, name="leaving", cycles=ScalePort.LATENCY - FloatFromInt.LATENCY)
            for row in rows:
                beat_held = Signal(bits * len(lanes), name=f"beat_held_{row}", reset_less=True)
                with m.If(column.valid):
                    m.d.sync += beat_held.eq(Cat(sums[row]))
                m.d.comb += self.scale.a[row].eq(
                    register(m, beat_held.word_select(held.lane, bits).as_signed(), name=f"picked_{row}"))

            # Columns of a word come one by one; the last one completes it.
            count, last_word, word = Signal(range(self.lanes + 1)), Signal(), self.o.payload.as_value()
            m.d.sync += self.o.valid.eq(0)
            with m.If(leaving.valid):
                m.d.sync += [
                    count.eq(Mux(count == self.lanes - 1, 0, count + 1)),
                    self.o.valid.eq(count == self.lanes - 1),
                    last_word.eq(leaving.last),
                ]
                newest = Cat(Mux(self.seen[row], self.scale.y[row], 0) for row in rows)
                m.d.sync += word.eq(Cat(word, newest)[len(newest):])
        m.d.comb += self.finished.eq(self.o.valid & self.o.ready & last_word)
        m.d.comb += [self.scale.en.eq(en), self.factor_head.eq(due.head), self.scale.b.eq(self.factor)]
        return m
