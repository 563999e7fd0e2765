"""The element-wise pipeline: lanes that take a word of columns of all rows each cycle.

The arithmetic is defined by its twin, :mod:`terntable.models.golden.lanes`.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from terntable.hw.float_add import FloatAdd
from terntable.hw.lane_pair import Control, LanePair
from terntable.hw.shapes import columns, integers, per_row
from terntable.hw.spec.numbers import PARTIALS
from terntable.hw.spec.program import VecMode

__all__ = ["VectorLanes"]

#: The bits of a lane's `Control` that each mode sets.
CONTROLS = {
    VecMode.SUMSQ: ("square",),
    VecMode.NORM: ("scale",),
    VecMode.QUANT: (),
    VecMode.DEQUANT: ("integer",),
    VecMode.ADD: ("integer", "offset"),
    VecMode.RELU2: ("integer", "clip"),
    VecMode.MULTIPLY: ("integer", "scale"),
    VecMode.ROPE: ("turn",),
}

#: Modes that keep the largest magnitude of each row.
TRACKED = (VecMode.NORM, VecMode.DEQUANT, VecMode.ROPE)


class VectorLanes(wiring.Component):
    """``rows`` x ``lanes`` lanes under one handshake.

    ============  =====================================================
    Computes      the function of ``terntable.models.golden.lanes`` that ``mode`` names
    Latency       ``LATENCY`` cycles from an accepted word to its result; SUMSQ: ``SUM_LATENCY`` cycles from
                  the accepted last word to ``sum_valid``
    Throughput    one word per cycle
    Widths        float32 patterns; integers of 32 bits in, 16 or 8 bits out
    Stall         the whole pipeline stands still; ``i.ready`` follows ``o.ready`` combinationally
    ============  =====================================================

    Parameters
    ----------
    rows : int
        Rows, at least 1.
    lanes : int
        Columns of a word: 2 or 4. A partial sum must be back from the adder before its next turn.

    Members
    -------
    mode : In(VecMode)
        Static from ``clear`` until the last result is taken, as are ``bits16`` and ``factor``.
    bits16 : In(1)
        QUANT to 16 bits; else to 8.
    factor : In(ArrayLayout(32, rows))
        INV for NORM, S for QUANT, F where ``a`` is an integer.
    clear : In(1)
        Pulse before the first word of an operation, while no word is inside: partial sums, ``sum_valid`` and
        ``invalid`` fall back to zero, and the next mode that keeps ``amax`` starts it from zero.
    i : In(stream of {a, b, last})
        ``a``: the float or the integer. ``b``: X for ADD, Y for MULTIPLY, gamma in each row for NORM; for
        ROPE, even lanes hold the cosine and odd lanes the sine of their pair. SUMSQ takes no word between its
        last one and ``clear``.
    o : Out(stream of {y, q, last})
        One word per word of ``i``, but none in SUMSQ. ``q`` is the result of QUANT, whose ``y`` is the
        product before rounding.
    amax : Out(ArrayLayout(32, rows))
        Largest ``|y|`` of the accepted results of NORM, DEQUANT and ROPE; other modes leave it alone.
    sum : Out(ArrayLayout(32, rows))
        Of SUMSQ.
    sum_valid : Out(1)
        High from completion of SUMSQ until ``clear``.
    invalid : Out(1)
        An accepted ``y``, or the sum, was INVALID since ``clear``.

    """

    LATENCY = LanePair.LATENCY

    def __init__(self, *, rows: int, lanes: int):
        if type(rows) is not int or rows < 1:
            raise ValueError(f"rows must be a positive integer, not {rows!r}")
        if lanes not in (2, 4) or PARTIALS // lanes <= FloatAdd.LATENCY:
            raise ValueError(f"lanes must be 2 or 4, not {lanes!r}")
        self.rows, self.lanes, self.slots = rows, lanes, PARTIALS // lanes
        # Each halving issues its additions and waits for the last; the first starts when the pipe is empty.
        issued = PARTIALS // lanes - 1 + exact_log2(lanes)
        self.SUM_LATENCY = self.LATENCY + 1 + issued + exact_log2(PARTIALS) * FloatAdd.LATENCY
        word, row = columns(rows=rows, lanes=lanes), per_row(rows=rows)
        super().__init__({
            "mode": In(VecMode), "bits16": In(1), "factor": In(row), "clear": In(1),
            "i": In(stream.Signature(data.StructLayout({"a": word, "b": word, "last": 1}))),
            "o": Out(stream.Signature(data.StructLayout(
                {"y": word, "q": integers(rows=rows, lanes=lanes, width=16), "last": 1}))),
            "amax": Out(row), "sum": Out(row), "sum_valid": Out(1), "invalid": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        enable, fold, moving = Signal(), Signal(), Signal()
        control = Signal(Control)
        word = columns(rows=self.rows, lanes=self.lanes)
        other, partial = Signal(word), Signal(word)
        m.d.comb += [control.bits16.eq(self.bits16), control.fold.eq(fold)]
        for name in ("integer", "square", "turn", "clip", "scale", "offset"):
            modes = [mode for mode, names in CONTROLS.items() if name in names]
            m.d.comb += control[name].eq(self.mode.matches(*modes))

        for row in range(self.rows):
            for lane in range(0, self.lanes, 2):
                m.submodules[f"pair_{row}_{lane}"] = pair = LanePair()
                m.d.comb += [pair.en.eq(moving), pair.control.eq(control), pair.factor.eq(self.factor[row])]
                for k in range(2):
                    m.d.comb += [
                        pair.a[k].eq(self.i.p.a[lane + k][row]),
                        pair.b[k].eq(self.i.p.b[lane + k][row]),
                        pair.other[k].eq(other[lane + k][row]),
                        pair.partial[k].eq(partial[lane + k][row]),
                        self.o.p.y[lane + k][row].eq(pair.y[k]),
                        self.o.p.q[lane + k][row].eq(pair.q[k]),
                    ]

        # Bit n: stage n holds a word, and it is the last one.
        full, last = Signal(self.LATENCY), Signal(self.LATENCY)
        ended = Signal()
        m.d.comb += [
            enable.eq(~self.o.valid | self.o.ready),
            # An empty pipe stands still, which saves power, and time in simulation.
            moving.eq(enable & (self.i.valid | full.any() | ended & ~self.sum_valid)),
            self.i.ready.eq(enable & ~ended),
            self.o.valid.eq(full[-1] & ~control.square),
            self.o.p.last.eq(last[-1]),
        ]
        with m.If(enable):
            m.d.sync += [full.eq(Cat(self.i.valid & self.i.ready, full)), last.eq(Cat(self.i.p.last, last))]
        with m.If(self.clear):
            m.d.sync += ended.eq(0)
        with m.Elif(self.i.valid & self.i.ready & self.i.p.last & control.square):
            m.d.sync += ended.eq(1)

        self._track(m)
        self._partial_sums(m, before=full[:-FloatAdd.LATENCY], square=control.square, ended=ended, fold=fold,
                           other=other, partial=partial)
        return m

    def _track(self, m: Module) -> None:
        """Row maxima and the invalid flag, of results as they leave."""
        fresh = Signal()
        taken = self.o.valid & self.o.ready
        exponents = [item[23:31] for lane in self.o.p.y for item in lane]
        with m.If(self.clear):
            m.d.sync += [fresh.eq(1), self.invalid.eq(0)]
        with m.Elif(taken):
            m.d.sync += self.invalid.eq(self.invalid | Cat(e.all() for e in exponents).any())
        with m.If(taken & self.mode.matches(*TRACKED)):
            m.d.sync += fresh.eq(0)
            for row in range(self.rows):
                # Without their sign, patterns order as integers.
                largest = Mux(fresh, 0, self.amax[row])
                for lane in range(self.lanes):
                    magnitude = self.o.p.y[lane][row][:31]
                    largest = Mux(magnitude > largest, magnitude, largest)
                m.d.sync += self.amax[row].eq(largest)

    def _partial_sums(self, m: Module, *, before: Value, square: Value, ended: Value, fold: Value,
                      other: data.View, partial: data.View) -> None:
        """Operands of the adders in SUMSQ, and after its last word the halving of the partial sums.

        Partial sum i of a row lies in slot ``i // lanes``, lane ``i % lanes``, so each lane adds to its own
        slots in turn. `before` tells which stages before the adders hold a word; its highest bit is the last.
        """
        word = partial.shape()
        m.submodules.memory = memory = Memory(shape=word, depth=self.slots, init=[])
        write = memory.write_port()
        low, high = memory.read_port(domain="comb"), memory.read_port(domain="comb")
        slot = Signal(range(self.slots))
        half = Signal(range(PARTIALS))    # partial sum i gets partial sum i + half; 0 while words come in
        live = Signal(self.slots)         # slots written since `clear`; the others count as zero
        start = Signal()

        # Additions on their way, and the slots that wait for them. Nothing stalls SUMSQ, so they always move.
        Target = data.StructLayout({"valid": 1, "final": 1, "slot": slot.shape()})
        target = Signal(Target)
        targets = [Signal(Target, name=f"target_{n}") for n in range(FloatAdd.LATENCY)]
        for earlier, later in zip([target, *targets], targets, strict=False):
            m.d.sync += later.eq(earlier)
        done = targets[-1]
        idle = ~Cat(one.valid for one in targets[:-1]).any()

        step = half >> exact_log2(self.lanes)
        m.d.comb += [
            low.addr.eq(slot),
            high.addr.eq(slot + step),
            other.eq(Mux(live.bit_select(low.addr, 1), low.data, 0)),
            target.slot.eq(slot),
            target.valid.eq(fold | (before[-1] & square)),
            target.final.eq(fold & (half == 1)),
            start.eq(ended & ~self.sum_valid & (half == 0) & idle & ~before.any()),
            write.en.eq(done.valid),
            write.addr.eq(done.slot),
        ]
        for lane in range(self.lanes):
            # Once one slot is left, lanes are halved: its upper lanes come down to the lower ones.
            source = Value.cast(high.data[lane])
            for distance in (d for d in (1, 2) if lane + d < self.lanes and lane < d):
                source = Mux(half == distance, high.data[lane + distance], source)
            m.d.comb += [
                partial[lane].eq(Mux(live.bit_select(high.addr, 1), source, 0)),
                write.data[lane].eq(self.o.p.y[lane]),
            ]

        with m.If(done.valid):
            m.d.sync += live.bit_select(done.slot, 1).eq(1)
        with m.If(done.valid & done.final):
            m.d.sync += [self.sum.eq(self.o.p.y[0]), self.sum_valid.eq(1)]
            m.d.sync += self.invalid.eq(Cat(item[23:31].all() for item in self.o.p.y[0]).any())

        with m.If(start):
            m.d.sync += [half.eq(PARTIALS // 2), slot.eq(0), fold.eq(1)]
        with m.Elif(fold):
            m.d.sync += slot.eq(slot + 1)
            with m.If((slot + 1 == step) | (step == 0)):
                m.d.sync += [slot.eq(0), fold.eq(0)]
        with m.Elif((half != 0) & idle):
            m.d.sync += [half.eq(half >> 1), fold.eq(half != 1)]
        with m.Elif(target.valid):
            m.d.sync += slot.eq(slot + 1)

        with m.If(self.clear):
            m.d.sync += [live.eq(0), slot.eq(0), half.eq(0), self.sum_valid.eq(0)]
