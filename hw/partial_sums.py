"""The running sums of squares of a norm: one addition per column and row, then a fold.

The arithmetic is defined by its twin, :func:`terntable.models.golden.lanes.norm`.
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from terntable.hw.float_add import FloatAdd
from terntable.hw.kernel import delay, register
from terntable.hw.lane_pair import LanePair
from terntable.hw.shapes import columns, per_row
from terntable.hw.spec.numbers import PARTIALS

__all__ = ["PartialSums"]

#: Cycles from asking for a sum to having it, and to its place as the first operand of the lanes.
READ = 2
FIRST = READ + (LanePair.PRODUCT_LATENCY + 1) % 2
#: When what is added to it must be asked for: an odd number later, so that upper and lower sums, each asked for every other
#: cycle, share a read port.
ADDEND = FIRST + LanePair.PRODUCT_LATENCY - READ


class PartialSums(wiring.Component):
    """Memory of the sums and the order in which lanes add to them.

    Partial sum i of a row lies in slot ``i // lanes``, lane ``i % lanes``, so each lane adds to its own slots in turn. For
    the fold, upper sums go through the lanes once more, and lower ones are added.

    ============  =====================================================
    Computes      the sum of ``norm``
    Latency       ``LATENCY`` cycles from ``start`` to ``valid``
    Throughput    one word per cycle
    Widths        float32 patterns
    Stall         never
    ============  =====================================================

    Parameters
    ----------
    rows : int
    lanes : int
        2 or 4. A sum must be back before its next turn.

    Members
    -------
    clear : In(1)
        Pulse before the first word: all sums become zero, ``valid`` low.
    add : In(1)
        A word's squares are there two cycles later, when ``value`` is what they are added to.
    start : In(1)
        Pulse when the last addition is over: fold.
    fold : Out(1)
        In the next cycle, ``upper`` is the first operand of the lanes, with factor 1 and gamma 1.
    across : Out(1)
        Lane 1 of each pair is to be added instead of ``value``; two cycles or more ahead of that.
    upper, value : Out(32 x rows x lanes)
    total : In(32 x rows x lanes)
        What the lanes' adders give.
    sum : Out(32 x rows)
    valid : Out(1)
        From the end of the fold until ``clear``.

    """

    def __init__(self, *, rows: int, lanes: int):
        if lanes not in (2, 4) or PARTIALS // lanes < FloatAdd.LATENCY + 2:
            raise ValueError(f"lanes must be 2 or 4, not {lanes!r}")
        self.rows, self.lanes, self.slots = rows, lanes, PARTIALS // lanes
        # A halving reads an upper sum every other cycle, and the next one waits until the last is back.
        steps = [max(1, self.slots >> n + 1) for n in range(exact_log2(PARTIALS))]
        self.LATENCY = 1 + sum(2 * step + ADDEND + READ - 1 + FloatAdd.LATENCY for step in steps)
        word = columns(rows=rows, lanes=lanes)
        super().__init__({
            "clear": In(1), "add": In(1), "start": In(1), "fold": Out(1), "across": Out(1), "upper": Out(word),
            "value": Out(word), "total": In(word), "sum": Out(per_row(rows=rows)), "valid": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        word = columns(rows=self.rows, lanes=self.lanes)
        m.submodules.memory = memory = Memory(shape=word, depth=self.slots, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        half = Signal(range(PARTIALS))    # sum i gets sum i + half; 0 while words come in
        slot, last = Signal(range(self.slots)), Signal(range(self.slots))    # the next one, and a halving's last one
        live = Signal(self.slots)         # slots written since `clear`; the others count as zero
        folding, odd = Signal(), Signal()
        step = half[exact_log2(self.lanes):]

        # From asking for an addend to the write of the sum.
        Target = data.StructLayout({"valid": 1, "final": 1, "slot": slot.shape()})
        issued, target = Signal(Target), Signal(Target)
        m.d.comb += [issued.valid.eq(folding & ~odd), issued.slot.eq(slot), issued.final.eq(half == 1)]
        lower = delay(m, issued, name="lower", cycles=ADDEND)
        m.d.comb += [
            target.eq(lower),
            target.valid.eq(lower.valid | self.add),
            target.slot.eq(Mux(self.add, slot, lower.slot)),
        ]
        coming = delay(m, target, name="coming", cycles=READ + FloatAdd.LATENCY - 1)
        done = delay(m, coming, name="done")
        # A halving's last slot is asked for, in an odd cycle; its last sum is done. `last` stands still for long before both.
        asked, halved = Signal(), Signal()
        m.d.sync += [asked.eq(slot == last), halved.eq(coming.valid & (coming.slot == last))]
        m.d.sync += read.addr.eq(Mux(issued.valid, slot | step, target.slot))
        m.d.comb += [
            write.addr.eq(done.slot), write.data.eq(self.total), write.en.eq(done.valid),
            self.across.eq(half == 1),
            self.fold.eq(delay(m, issued.valid, name="fold", cycles=FIRST - 1)),
        ]
        value = Signal(word, reset_less=True)
        m.d.sync += value.as_value().eq(Mux(live.bit_select(read.addr, 1), read.data.as_value(), 0))
        first = register(m, value, name="first", cycles=FIRST - READ)
        m.d.comb += self.value.eq(value)
        for lane in range(self.lanes):
            # Once one slot is left, lanes are halved: of four, the upper pair comes down to the lower one.
            down = first[lane + 2] if lane + 2 < self.lanes else first[lane]
            m.d.comb += self.upper[lane].eq(Mux(half == 2, down, first[lane]) if self.lanes == 4 else first[lane])

        with m.If(done.valid):
            m.d.sync += live.bit_select(done.slot, 1).eq(1)
        with m.If(done.valid & done.final):
            m.d.sync += [self.sum.eq(self.total[0]), self.valid.eq(1)]

        busy = Signal()    # additions of this halving are on their way
        with m.If(self.start):
            m.d.sync += [half.eq(PARTIALS // 2), slot.eq(0), last.eq(self.slots // 2 - 1), folding.eq(1), odd.eq(0)]
        with m.Elif(folding):
            m.d.sync += odd.eq(~odd)
            with m.If(odd):
                m.d.sync += slot.eq(slot + 1)
                with m.If(asked):
                    m.d.sync += [slot.eq(0), folding.eq(0), busy.eq(1)]
        with m.Elif(busy):
            with m.If(halved):
                m.d.sync += [half.eq(half >> 1), last.eq(last >> 1), busy.eq(0), folding.eq(half != 1), odd.eq(0)]
        with m.Elif(self.add):
            m.d.sync += slot.eq(slot + 1)

        with m.If(self.clear):
            m.d.sync += [live.eq(0), slot.eq(0), half.eq(0), self.valid.eq(0), busy.eq(0), folding.eq(0)]
        return m
