"""The scalars of each row that element-wise operations share: norm and quantisation scales, factors.

The arithmetic is defined by its twin, :mod:`terntable.models.golden.scalar`.
"""

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from terntable.hw.float_add import FloatAdd
from terntable.hw.float_divide import FloatDivide
from terntable.hw.float_mul import FloatMul
from terntable.hw.float_sqrt import FloatSqrt
from terntable.hw.shapes import per_row
from terntable.hw.spec.numbers import ABSMAX_FLOOR
from terntable.hw.spec.program import ScalarKind

__all__ = ["COMMAND", "FACTOR", "ScalarUnit"]

#: The kind besides those of `ScalarKind`: made before a vector operation on partial sums.
FACTOR = 2

COMMAND = data.StructLayout({"kind": 2, "imm": 32, "imm2": 32, "slot": 8})

ONE = 0x3F800000
FLOOR = int(np.float32(ABSMAX_FLOOR).view(np.uint32))


class ScalarUnit(wiring.Component):
    """Makes one kind of scalar for all rows.

    ============  =====================================================
    Computes      NORM: ``norm_scale``, QUANT: ``quant_scale``, FACTOR: ``factor`` of the twin
    Latency       ``LATENCY[kind]`` cycles from the accepted command to ``done``, whatever the numbers
    Throughput    one command at a time, ready again with ``done``
    Widths        float32 patterns
    Stall         nothing to wait for: results lie in registers
    ============  =====================================================

    One multiplier and one adder take row after row; each row has a root and a divider of its own.

    Parameters
    ----------
    rows : int
        Rows, at least 1.
    slots : int
        Words of the slot memory, 2 to 255.

    Members
    -------
    command : In(stream of {kind, imm, imm2, slot})
        ``kind`` is a ``ScalarKind`` or ``FACTOR``. ``slot``: where QUANT leaves ``amax / imm``, 0 in ``d``,
        otherwise in slot ``slot - 1``; if there is no such slot, nowhere.
    sum, amax : In(ArrayLayout(32, rows))
        Static while ``busy``; ``amax`` is not negative.
    inv, s, d, factor : Out(ArrayLayout(32, rows))
        Registers that keep the last result of NORM (``inv``), QUANT (``s``; ``d`` with ``slot`` 0) and FACTOR
        (``factor``).
    slot_address : In(range(slots))
    slot_data : Out(ArrayLayout(32, rows))
        The slot addressed one cycle ago.
    busy : Out(1)
        From the cycle after the accepted command up to ``done``, which is no longer part of it.
    done : Out(1)
        One cycle, the first that shows the results.

    Attributes
    ----------
    LATENCY : dict of int
        By kind.

    """

    def __init__(self, *, rows: int, slots: int):
        if type(rows) is not int or rows < 1:
            raise ValueError(f"rows must be a positive integer, not {rows!r}")
        if type(slots) is not int or not 2 <= slots <= 255:
            raise ValueError(f"slots must be 2..255, not {slots!r}")
        self.rows, self.slots = rows, slots
        self.LATENCY = {
            ScalarKind.NORM: (rows + FloatMul.LATENCY + FloatAdd.LATENCY + FloatSqrt.LATENCY
                              + FloatDivide.LATENCY + 1),
            ScalarKind.QUANT: 2 * (FloatDivide.LATENCY + 1) + 1,
            FACTOR: rows + FloatMul.LATENCY + 1,
        }
        row = per_row(rows=rows)
        super().__init__({
            "command": In(stream.Signature(COMMAND)), "sum": In(row), "amax": In(row),
            "inv": Out(row), "s": Out(row), "d": Out(row), "factor": Out(row),
            "slot_address": In(range(slots)), "slot_data": Out(row), "busy": Out(1), "done": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.mul = mul = FloatMul()
        m.submodules.add = add = FloatAdd()
        m.submodules.memory = memory = Memory(shape=per_row(rows=self.rows), depth=self.slots, init=[])
        write, read = memory.write_port(), memory.read_port()
        roots, dividers = [], []
        for row in range(self.rows):
            m.submodules[f"sqrt_{row}"] = root = FloatSqrt()
            m.submodules[f"divide_{row}"] = divider = FloatDivide()
            roots.append(root)
            dividers.append(divider)

        held = Signal(COMMAND)
        position = Signal(range(self.rows + FloatMul.LATENCY + FloatAdd.LATENCY))    # row that enters `mul`
        norm, scale, inverse = Signal(), Signal(), Signal()
        finished = Signal()
        m.d.comb += [
            self.busy.eq(~self.command.ready),
            mul.en.eq(self.busy), add.en.eq(self.busy),
            mul.a.eq(Mux(norm, self.sum, self.d).word_select(position, 32)), mul.b.eq(held.imm),
            add.a.eq(mul.y), add.b.eq(held.imm2),
            read.addr.eq(self.slot_address), self.slot_data.eq(read.data),
        ]
        m.d.sync += self.done.eq(finished)

        # A row's mean goes on to its root as soon as it is there, and the root to the divider.
        last = self.rows - 1
        result = Cat(divider.o.p for divider in dividers)
        with m.FSM():
            with m.State("idle"):
                m.d.comb += self.command.ready.eq(1)
                m.d.sync += position.eq(0)
                with m.If(self.command.valid):
                    m.d.sync += held.eq(self.command.p)
                    with m.Switch(self.command.p.kind):
                        with m.Case(ScalarKind.NORM):
                            m.next = "norm"
                        with m.Case(ScalarKind.QUANT):
                            m.next = "scale"
                        with m.Default():
                            m.next = "factor"
            with m.State("factor"):
                m.d.sync += position.eq(position + 1)
                for row in range(self.rows):
                    with m.If(position == row + FloatMul.LATENCY):
                        m.d.sync += self.factor[row].eq(mul.y)
                with m.If(position == last + FloatMul.LATENCY):
                    m.d.comb += finished.eq(1)
                    m.next = "idle"
            with m.State("norm"):
                m.d.comb += norm.eq(1)
                m.d.sync += position.eq(position + 1)
                for row, root in enumerate(roots):
                    m.d.comb += root.i.valid.eq(position == row + FloatMul.LATENCY + FloatAdd.LATENCY)
                with m.If(position == last + FloatMul.LATENCY + FloatAdd.LATENCY):
                    m.next = "root"
            with m.State("root"):
                for row, divider in enumerate(dividers):
                    with m.If(divider.o.valid):
                        m.d.sync += self.inv[row].eq(divider.o.p)
                with m.If(dividers[last].o.valid):
                    m.d.comb += finished.eq(1)
                    m.next = "idle"
            with m.State("scale"):
                m.d.comb += scale.eq(1)
                with m.If(dividers[last].o.valid):
                    m.d.sync += self.s.eq(result)
                    m.next = "inverse"
            with m.State("inverse"):
                m.d.comb += inverse.eq(1)
                with m.If(dividers[last].o.valid):
                    with m.If(held.slot == 0):
                        m.d.sync += self.d.eq(result)
                    m.d.comb += [
                        write.en.eq((held.slot != 0) & (held.slot <= self.slots)),
                        write.addr.eq(held.slot - 1),
                        write.data.eq(result),
                        finished.eq(1),
                    ]
                    m.next = "idle"

        for row, (root, divider) in enumerate(zip(roots, dividers, strict=True)):
            largest = Signal(32, name=f"largest_{row}")
            m.d.comb += [
                # Magnitudes order as their patterns.
                largest.eq(Mux(self.amax[row] > FLOOR, self.amax[row], FLOOR)),
                root.i.p.a.eq(add.y),
                root.o.ready.eq(divider.i.ready),
                divider.i.valid.eq(root.o.valid | scale | inverse),
                divider.i.p.a.eq(Mux(scale, held.imm, Mux(inverse, largest, ONE))),
                divider.i.p.b.eq(Mux(scale, largest, Mux(inverse, held.imm, root.o.p))),
                divider.o.ready.eq(1),
            ]
        return m
