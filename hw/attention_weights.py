"""The softmax of attention: scores in, integer weights and the sum of the exponentials out.

The arithmetic is defined by its twin, :func:`terntable.models.golden.attention.attention_weights`.
"""

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from terntable.hw.attention_scales import AttentionScales
from terntable.hw.attention_sizes import WEIGHT_BITS, AttentionSizes
from terntable.hw.exp2 import Exp2
from terntable.hw.float_add import FloatAdd
from terntable.hw.float_mul import FloatMul
from terntable.hw.float_to_fixed import FloatToFixed
from terntable.hw.float_to_int import FloatToInt
from terntable.hw.kernel import delay, register

__all__ = ["AttentionWeights"]


class AttentionWeights(wiring.Component):
    """Weights of all slots, one head after the other, and a memory of them for each head.

    ============  =====================================================
    Computes      ``attention_weights``
    Latency       ``LATENCY`` cycles from ``start`` until ``weighed`` rises, slots + ``LATENCY`` - 2 until ``summed``
    Throughput    a slot of all rows per cycle
    Widths        weights 17 bits signed, sums of exponentials unsigned and exact
    Stall         none
    ============  =====================================================

    Parameters
    ----------
    sizes : AttentionSizes
    style : str
        What the memories are made of, see :class:`terntable.hw.column_memory.ColumnMemory`.

    Members
    -------
    clear : In(1)
        A new command: no head is weighed.
    start, second : In(1)
        Begin with head ``second``, whose maxima are known and whose ``inverse`` (65536 / largest value scale) is there in
        this cycle. Not before the last ``sum`` was used.
    running : Out(1)
        Scores are wanted.
    slot, head : Out
        Slot and head of ``score``, which is due two cycles later.
    value_slot, value_scale
        Read port of the value scales of ``head``.
    weighed : Out(2)
        The first weight of each head can be read; the others follow one a cycle.
    summed : Out(1)
        ``sum`` is complete; pulses.
    read, read_slot, weights
        Read port of the weights of both heads; the data is a cycle late and then holds.

    """

    #: Slots from asking for a score to its exponential, and to the value scale that is asked for later.
    EXPONENTIAL = 2 + FloatAdd.LATENCY + FloatToFixed.LATENCY + Exp2.LATENCY
    SCALE = AttentionScales.LATENCY + FloatMul.LATENCY + FloatToInt.LATENCY
    MEET = max(EXPONENTIAL, SCALE)
    LATENCY = MEET + 4

    def __init__(self, *, sizes: AttentionSizes, style: str = "auto"):
        self.sizes, self.style = sizes, style
        weights = data.ArrayLayout(signed(WEIGHT_BITS), sizes.rows)
        super().__init__({
            "job": In(sizes.job), "clear": In(1), "start": In(1), "second": In(1), "running": Out(1),
            "largest": In(data.ArrayLayout(sizes.floats, 2)), "inverse": In(sizes.floats),
            "slot": Out(sizes.slot), "head": Out(1), "score": In(sizes.floats),
            "value_slot": Out(sizes.slot), "value_scale": In(32),
            "weighed": Out(2), "summed": Out(1), "sum": Out(data.ArrayLayout(sizes.exponential_bits, sizes.rows)),
            "read": In(1), "read_slot": In(sizes.slot), "weights": Out(data.ArrayLayout(weights, 2)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        sizes, job = self.sizes, self.job
        Ask = data.StructLayout({"slot": sizes.slot, "first": unsigned(1), "last": unsigned(1)})
        ask, at_last = Signal(Ask), Signal()
        m.d.comb += [ask.slot.eq(self.slot), ask.first.eq(self.slot == 0), ask.last.eq(at_last)]
        inverse = Signal(sizes.floats, reset_less=True)
        with m.If(self.start):
            m.d.sync += [self.running.eq(1), self.slot.eq(0), self.head.eq(self.second), inverse.eq(self.inverse),
                         at_last.eq(job.last == 0)]
        with m.Elif(self.running):
            m.d.sync += [self.running.eq(~at_last), self.slot.eq(self.slot + 1), at_last.eq(self.slot == job.before_last)]

        # Both operands of the product meet; the shorter of their paths starts later.
        late = self.MEET - self.SCALE
        m.d.comb += self.value_slot.eq(register(m, self.slot, name="value_slot_late", cycles=late))
        summing = delay(m, self.running, name="summing", cycles=self.MEET + 1)
        at_sum = register(m, ask, name="at_sum", cycles=self.MEET + 1)
        writing, at_write = delay(m, summing, name="writing"), register(m, at_sum, name="at_write")
        m.d.sync += self.summed.eq(summing & at_sum.last)

        ports = []
        for head in (0, 1):
            attrs = {} if self.style == "auto" else {"ram_style": self.style}
            memory = Memory(shape=self.weights[head].shape(), depth=sizes.max_context, init=[], attrs=attrs)
            m.submodules[f"weights_{head}"] = memory
            write, read = memory.write_port(), memory.read_port()
            ports.append(write)
            m.d.comb += [
                write.en.eq(writing & (self.head == head)), write.addr.eq(at_write.slot),
                read.en.eq(self.read), read.addr.eq(self.read_slot), self.weights[head].eq(read.data),
            ]
            with m.If(self.clear):
                m.d.sync += self.weighed[head].eq(0)
            with m.Elif(write.en):
                m.d.sync += self.weighed[head].eq(1)

        for row in range(sizes.rows):
            m.submodules[f"difference_{row}"] = difference = FloatAdd()
            m.submodules[f"fixed_{row}"] = fixed = FloatToFixed()
            m.submodules[f"exponential_{row}"] = exponential = Exp2()
            m.submodules[f"relative_{row}"] = relative = FloatMul()
            m.submodules[f"scale_{row}"] = scale = FloatToInt(width=WEIGHT_BITS)
            m.d.comb += [unit.en.eq(1) for unit in (difference, fixed, exponential, relative, scale)]
            largest = register(m, Mux(self.head, self.largest[1][row], self.largest[0][row]), name=f"largest_{row}")
            m.d.comb += [
                difference.a.eq(largest), difference.b.eq(self.score[row]), difference.sub.eq(1),
                fixed.a.eq(difference.y), exponential.x.eq(fixed.y),
                relative.a.eq(self.value_scale), relative.b.eq(inverse[row]), scale.a.eq(relative.y),
            ]
            e = register(m, exponential.y, name=f"e_{row}", cycles=self.MEET - self.EXPONENTIAL)
            e_late, product = register(m, e, name=f"e_late_{row}"), register(m, e * scale.y, name=f"product_{row}")
            weight = Signal(signed(WEIGHT_BITS), name=f"weight_{row}", reset_less=True)
            m.d.sync += weight.eq((product + (1 << 15)) >> 16)
            m.d.comb += [port.data[row].eq(weight) for port in ports]
            with m.If(summing):
                m.d.sync += self.sum[row].eq(Mux(at_sum.first, 0, self.sum[row]) + e_late)
        return m
