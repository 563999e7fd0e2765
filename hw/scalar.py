"""The scalars of each row that element-wise operations share: norm and quantisation scales, factors.

The arithmetic is defined by its twin, :mod:`terntable.models.golden.scalar`.
"""

import numpy as np
from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from terntable.hw.float_add import FloatAdd
from terntable.hw.float_mul import FloatMul
from terntable.hw.float_quotient import FloatQuotient
from terntable.hw.float_sqrt import FloatSqrt
from terntable.hw.kernel import delay, register
from terntable.hw.shapes import per_row
from terntable.hw.spec.numbers import ABSMAX_FLOOR
from terntable.hw.spec.program import ScalarKind, ScaleOf

__all__ = ["COMMAND", "FACTOR", "ScalarUnit"]

#: The kind besides those of `ScalarKind`: made before a vector operation with weight scales.
FACTOR = 2

COMMAND = data.StructLayout({"kind": 2, "scale_of": 2, "imm": 32, "imm2": 32, "slot": 8})

ONE = 0x3F800000
FLOOR = int(np.float32(ABSMAX_FLOOR).view(np.uint32))


class ScalarUnit(wiring.Component):
    """Makes one kind of scalar for all rows.

    ============  =====================================================
    Computes      NORM: ``norm_scale``, QUANT: ``quant_scale``, FACTOR: ``factor`` twice, of the twin
    Latency       ``latency(kind, scale_of)`` cycles from the accepted command to ``done``, whatever the numbers
    Throughput    one command at a time, ready again with ``done``
    Widths        float32 patterns
    Stall         nothing to wait for: results lie in registers
    ============  =====================================================

    Two multipliers, an adder, a root and two quotients, each a pipeline, take row after row.

    Parameters
    ----------
    rows : int
        Rows, at least 1.
    slots : int
        Words of the slot memory, 2 to 255.

    Members
    -------
    command : In(stream of {kind, scale_of, imm, imm2, slot})
        ``kind`` is a ``ScalarKind`` or ``FACTOR``; ``scale_of`` a ``ScaleOf``, for QUANT. ``slot``: where QUANT leaves the
        row's scale, 0 in ``d``, otherwise in slot ``slot - 1``; if there is no such slot, nowhere.
    sum, amax : In(ArrayLayout(32, rows))
        Static while ``busy``; ``amax`` is not negative.
    inv, s, d, factor, factor2 : Out(ArrayLayout(32, rows))
        Registers that keep the last result of NORM (``inv``), QUANT (``s``; ``d`` with ``slot`` 0) and FACTOR
        (``factor`` with ``imm``, ``factor2`` with ``imm2``, which QUANT with ScaleOf.FACTOR makes, too).
    slot_address, slot_data : In, Out(ArrayLayout(32, rows))
        Read port of the slots; the data is a cycle late.
    busy, done : Out(1)
        From the cycle after the command to the last one; the cycle after it.

    """

    def __init__(self, *, rows: int, slots: int):
        if type(rows) is not int or rows < 1:
            raise ValueError(f"rows must be a positive integer, not {rows!r}")
        if type(slots) is not int or not 2 <= slots <= 255:
            raise ValueError(f"slots must be 2 to 255, not {slots!r}")
        self.rows, self.slots = rows, slots
        row = per_row(rows=rows)
        super().__init__({
            "command": In(stream.Signature(COMMAND)), "sum": In(row), "amax": In(row),
            "inv": Out(row), "s": Out(row), "d": Out(row), "factor": Out(row), "factor2": Out(row),
            "slot_address": In(range(slots)), "slot_data": Out(row), "busy": Out(1), "done": Out(1),
        })

    def latency(self, kind: int, scale_of: int = ScaleOf.ONE) -> int:
        """Cycles from an accepted command to ``done``."""
        factors = self.rows + FloatMul.LATENCY
        if kind == FACTOR:
            return factors + 1
        if kind == ScalarKind.NORM:
            return self.rows + FloatMul.LATENCY + FloatAdd.LATENCY + FloatSqrt.LATENCY + FloatQuotient.LATENCY + 1
        quantised = self.rows + 2 * FloatMul.LATENCY + 1 + FloatQuotient.LATENCY + 2
        return quantised + (factors if scale_of == ScaleOf.FACTOR else 0)

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.mul = mul = FloatMul()
        m.submodules.mul2 = mul2 = FloatMul()
        m.submodules.add = add = FloatAdd()
        m.submodules.root = root = FloatSqrt()
        m.submodules.inverse = inverse = FloatQuotient()
        m.submodules.quotient = quotient = FloatQuotient()
        m.submodules.memory = memory = Memory(shape=per_row(rows=self.rows), depth=self.slots, init=[])
        write, read = memory.write_port(), memory.read_port()

        held = Signal(COMMAND)
        Turn = data.StructLayout({"valid": 1, "last": 1, "row": range(max(2, self.rows))})
        turn, feeding, row = Signal(Turn), Signal(), Signal(range(max(2, self.rows)))
        factors, norm = Signal(), Signal()            # what the rows that enter now are for
        finished = Signal()
        m.d.comb += [
            self.busy.eq(~self.command.ready),
            *(unit.en.eq(self.busy) for unit in (mul, mul2, add, root, inverse, quotient)),
            read.addr.eq(self.slot_address), self.slot_data.eq(read.data),
            turn.valid.eq(feeding), turn.row.eq(row), turn.last.eq(row == self.rows - 1),
        ]
        m.d.sync += self.done.eq(finished)
        with m.If(feeding):
            m.d.sync += row.eq(Mux(turn.last, 0, row + 1))
            with m.If(turn.last):
                m.d.sync += feeding.eq(0)

        def pick(values: Value, which: Value) -> Value:
            return values.as_value().word_select(which, 32) if self.rows > 1 else values.as_value()

        # Factors: D x imm and D x imm2. Norm: the mean. Quantise: the largest magnitude.
        scale = Mux(held.scale_of == ScaleOf.INV, pick(self.inv, row), Mux(held.scale_of == ScaleOf.FACTOR,
                                                                           pick(self.factor2, row), ONE))
        m.d.comb += [
            mul.a.eq(Mux(factors, pick(self.d, row), Mux(norm, pick(self.sum, row), pick(self.amax, row)))),
            mul.b.eq(Mux(factors | norm, held.imm, scale)),
            mul2.a.eq(Mux(factors, pick(self.d, row), inverse.y)),
        ]
        scaled = delay(m, turn, name="scaled", cycles=FloatMul.LATENCY)
        # A command is over when its last row has gone its own way, so that nothing of it turns up in the next one.
        averaged, chosen = Signal(Turn), Signal(Turn)
        m.d.comb += [
            averaged.eq(scaled), averaged.valid.eq(scaled.valid & norm),
            chosen.eq(scaled), chosen.valid.eq(scaled.valid & ~norm & ~factors),
        ]

        # Norm: mean plus epsilon, root, inverse.
        added = delay(m, averaged, name="added", cycles=FloatAdd.LATENCY)
        rooted = delay(m, added, name="rooted", cycles=FloatSqrt.LATENCY)
        inverted = delay(m, rooted, name="inverted", cycles=FloatQuotient.LATENCY)
        # Quantise: the quotients both ways, and one of them times the scale.
        largest = Signal(32, reset_less=True)
        m.d.sync += largest.eq(Mux(mul.y > FLOOR, mul.y, FLOOR))    # magnitudes order as their patterns
        divided = delay(m, chosen, name="divided", cycles=1 + FloatQuotient.LATENCY)
        late_scale = register(m, scale, name="late_scale", cycles=FloatMul.LATENCY + 1 + FloatQuotient.LATENCY)
        quantised = delay(m, divided, name="quantised", cycles=FloatMul.LATENCY)
        m.d.comb += [
            add.a.eq(mul.y), add.b.eq(held.imm2), root.a.eq(add.y),
            inverse.a.eq(Mux(norm, ONE, held.imm)), inverse.b.eq(Mux(norm, root.y, largest)),
            quotient.a.eq(largest), quotient.b.eq(held.imm),
            mul2.b.eq(Mux(factors, held.imm2, late_scale)),
        ]
        scales = Signal(per_row(rows=self.rows))
        for n in range(self.rows):
            with m.If(factors & scaled.valid & (scaled.row == n)):
                m.d.sync += [self.factor[n].eq(mul.y), self.factor2[n].eq(mul2.y)]
            with m.If(inverted.valid & (inverted.row == n)):
                m.d.sync += self.inv[n].eq(inverse.y)
            with m.If(divided.valid & (divided.row == n)):
                m.d.sync += scales[n].eq(quotient.y)
            with m.If(quantised.valid & (quantised.row == n)):
                m.d.sync += self.s[n].eq(mul2.y)
        m.d.comb += [write.addr.eq(held.slot - 1), write.data.eq(scales)]

        with m.FSM():
            with m.State("idle"):
                m.d.comb += self.command.ready.eq(1)
                with m.If(self.command.valid):
                    m.d.sync += [held.eq(self.command.p), feeding.eq(1), row.eq(0)]
                    with m.Switch(self.command.p.kind):
                        with m.Case(ScalarKind.NORM):
                            m.next = "norm"
                        with m.Case(ScalarKind.QUANT):
                            m.next = "quantise"
                            with m.If(self.command.p.scale_of == ScaleOf.FACTOR):
                                m.next = "factors"
                        with m.Default():
                            m.next = "factors"
            with m.State("factors"):
                m.d.comb += factors.eq(1)
                with m.If(scaled.valid & scaled.last):
                    with m.If(held.kind == ScalarKind.QUANT):
                        m.d.sync += feeding.eq(1)
                        m.next = "quantise"
                    with m.Else():
                        m.d.comb += finished.eq(1)
                        m.next = "idle"
            with m.State("norm"):
                m.d.comb += norm.eq(1)
                with m.If(inverted.valid & inverted.last):
                    m.d.comb += finished.eq(1)
                    m.next = "idle"
            with m.State("quantise"):
                with m.If(quantised.valid & quantised.last):
                    m.next = "store"
            with m.State("store"):
                m.d.comb += [write.en.eq((held.slot != 0) & (held.slot <= self.slots)), finished.eq(1)]
                with m.If(held.slot == 0):
                    m.d.sync += self.d.eq(scales)
                m.next = "idle"
        return m
