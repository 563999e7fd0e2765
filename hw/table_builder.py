"""Tables of signed sums of activations, made without multipliers.

The arithmetic is defined by its twin, :func:`terntable.models.golden.table_builder.build_tables`.
"""

from amaranth import *
from amaranth.hdl import ValueLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.spec.numbers import TABLE_LOW
from terntable.quant.base3 import TRITS_PER_BYTE

__all__ = ["TableBuilder", "column_layout", "entry_layout"]


def column_layout(rows: int, lanes: int) -> data.ArrayLayout:
    """A word of ``lanes`` int8 columns; lane e, row r at bit ``(e * rows + r) * 8``."""
    return data.ArrayLayout(data.ArrayLayout(signed(8), rows), lanes)


def entry_layout(rows: int, groups: int, **more) -> data.StructLayout:
    """Entry number ``entry`` of all tables, followed by the fields ``more``."""
    return data.StructLayout({
        "entry": unsigned(5),
        "low": data.ArrayLayout(data.ArrayLayout(signed(10), rows), groups),
        "high": data.ArrayLayout(data.ArrayLayout(signed(10), rows), groups),
        "last": 1,
        **more,
    })


class TableBuilder(wiring.Component):
    """Collects the columns of one tile and emits its tables entry by entry.

    ============  ==========================================================================
    Computes      ``build_tables``
    Latency       ``LATENCY`` cycles from the last word of a tile accepted to entry 0 valid
    Throughput    a tile per 27 cycles; the next tile's words are collected meanwhile
    Widths        ``low`` 10 bits (-384 .. 384), ``high`` 10 bits (-256 .. 256), cannot overflow
    Stall         entries stand still while ``o`` waits, collecting goes on until the tile is whole
    ============  ==========================================================================

    Parameters
    ----------
    rows, lanes, groups : int
        Token rows, columns of a word, and bytes of a beat that share an output.

    Members
    -------
    i : In(stream)
        A word of ``lanes`` columns. ``words`` of them make a tile; columns of the last one past
        ``5 * groups`` are ignored.
    o : Out(stream)
        Entry 0 .. 26 of the low table of each group and row; entry 0 .. 8 of the high table beside
        them, then zeros. ``last`` goes with entry 26.

    Attributes
    ----------
    words : int
        Words of a tile.

    """

    LATENCY = 4

    def __init__(self, *, rows: int, lanes: int, groups: int):
        for name, value in (("rows", rows), ("lanes", lanes), ("groups", groups)):
            if type(value) is not int or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        self.rows, self.lanes, self.groups = rows, lanes, groups
        self.words = -(-TRITS_PER_BYTE * groups // lanes)
        super().__init__({
            "i": In(stream.Signature(column_layout(rows, lanes))),
            "o": Out(stream.Signature(entry_layout(rows, groups))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        tile = column_layout(self.rows, self.words * self.lanes)
        collected, held = Signal(tile, reset_less=True), Signal(tile, reset_less=True)
        whole, building = Signal(), Signal()
        move, step, final = Signal(), Signal(), Signal()

        # Words are shifted in from above, so that the first one ends lowest.
        word = Signal(range(self.words))
        m.d.comb += self.i.ready.eq(~whole)
        with m.If(self.i.ready & self.i.valid):
            flat = collected.as_value()
            m.d.sync += [
                flat.eq(Cat(flat[self.lanes * self.rows * 8:], self.i.p)),
                word.eq(word + 1),
            ]
            with m.If(word == self.words - 1):
                m.d.sync += [word.eq(0), whole.eq(1)]

        entry = Signal(5)
        digits = Array(Signal(2, name=f"digit_{n}") for n in range(3))
        m.d.comb += [
            final.eq(entry == TABLE_LOW - 1),
            step.eq(~self.o.valid | self.o.ready),
            move.eq(whole & (~building | (step & final))),
        ]
        with m.If(step & building):
            m.d.sync += entry.eq(entry + 1)
            carry: ValueLike = C(1)
            for digit in digits:
                with m.If(carry):
                    m.d.sync += digit.eq(Mux(digit == 2, 0, digit + 1))
                carry = carry & (digit == 2)
            with m.If(final):
                m.d.sync += [building.eq(0), entry.eq(0)]
        with m.If(move):
            m.d.sync += [held.eq(collected), whole.eq(0), building.eq(1)]

        self._sums(m, step, building, entry, final, digits, held)
        return m

    def _sums(self, m: Module, step: Signal, building: Signal, entry: Signal, final: Signal, digits,
              held) -> None:
        """Two pipeline stages from the digits of an entry to its sums."""
        # A digit 0, 1 or 2 takes an activation negated, not at all, or as it is. The negation is an
        # inversion here and a carry into the sum, which saves an adder for each activation.
        minus = [Signal(8, name=f"minus_{n}") for n in range(5)]
        keep = [Signal(8, name=f"keep_{n}") for n in range(5)]
        has_high = digits[2] == 0
        for n, digit in enumerate([*digits, digits[0], digits[1]]):
            used = C(1) if n < 3 else has_high
            m.d.comb += [
                minus[n].eq(((digit == 0) & used).replicate(8)),
                keep[n].eq(((digit != 1) & used).replicate(8)),
            ]

        def taken(column: Value, n: int) -> Value:
            return ((column.as_unsigned() ^ minus[n]) & keep[n]).as_signed()

        stage = Signal(data.StructLayout({"entry": 5, "last": 1, "carry": 1}), reset_less=True)
        stage_valid = Signal()
        with m.If(step):
            m.d.sync += [stage_valid.eq(building), self.o.valid.eq(stage_valid)]
        with m.If(step & building):
            m.d.sync += [stage.entry.eq(entry), stage.last.eq(final), stage.carry.eq(minus[0][0])]
        with m.If(step & stage_valid):
            m.d.sync += [self.o.p.entry.eq(stage.entry), self.o.p.last.eq(stage.last)]

        for t in range(self.groups):
            for r in range(self.rows):
                a = [held[TRITS_PER_BYTE * t + n][r] for n in range(TRITS_PER_BYTE)]
                one = Signal(signed(8), name=f"one_{t}_{r}", reset_less=True)
                two = Signal(signed(10), name=f"two_{t}_{r}", reset_less=True)
                high = Signal(signed(10), name=f"high_{t}_{r}", reset_less=True)
                with m.If(step & building):
                    m.d.sync += [
                        one.eq(taken(a[0], 0)),
                        two.eq(taken(a[1], 1) + taken(a[2], 2) + (minus[1][0] + minus[2][0])),
                        high.eq(taken(a[3], 3) + taken(a[4], 4) + (minus[3][0] + minus[4][0])),
                    ]
                with m.If(step & stage_valid):
                    m.d.sync += [
                        self.o.p.low[t][r].eq(two + one + stage.carry),
                        self.o.p.high[t][r].eq(high),
                    ]
