"""Other ways to multiply by ternary weights, which the tables of docs/resources.md hold against the table lookup.

They take the place of :class:`terntable.hw.lookup_array.LookupArray` and of the table builder in front of it, with as many weights
x rows a cycle. None of them is in the accelerator.
"""

from amaranth.hdl import C, Cat, Module, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.kernel import delay, register
from terntable.hw.lookup_array import LookupArray
from terntable.hw.shapes import integers
from terntable.hw.spec.lookup import TRITS

__all__ = ["AddSelect", "ColumnBank", "MultiplyAdd", "trit_layout"]

#: Bits of an activation.
BITS = 8


def trit_layout(count: int) -> data.ArrayLayout:
    """Weights: 0 unless ``nonzero``, else -1 if ``negate``, else 1."""
    return data.ArrayLayout(data.StructLayout({"nonzero": 1, "negate": 1}), count)


def _sum_bits(groups: int) -> int:
    return BITS + (TRITS * groups - 1).bit_length()


class ColumnBank(wiring.Component):
    """A tile's activations, held for all outputs while those of the next tile come in.

    Parameters
    ----------
    rows, lanes, groups : int
        Token rows, columns that come at a time, and groups of ``TRITS`` columns in a tile.
    packed : bool
        Two rows in a word, as :class:`MultiplyAdd` wants them.

    Members
    -------
    valid, i : In
        ``lanes`` columns, the tile's first ones first.
    move : In(1)
        The tile is complete; it is at ``o`` from the next cycle on.
    o : Out
        The columns.

    """

    def __init__(self, *, rows: int, lanes: int, groups: int, packed: bool = False) -> None:
        self.rows, self.lanes, self.count, self.packed = rows, lanes, TRITS * groups, packed
        shape = MultiplyAdd.word(rows, groups) if packed else integers(rows=rows, lanes=self.count, width=BITS)
        self.low_bits = _sum_bits(groups)
        super().__init__({"valid": In(1), "i": In(integers(rows=rows, lanes=lanes, width=BITS)), "move": In(1), "o": Out(shape)})

    def elaborate(self, platform) -> Module:
        m = Module()
        shape = data.ArrayLayout(signed(BITS), self.rows)
        collected = [Signal(shape, name=f"collected_{n}", reset_less=True) for n in range(self.count)]
        with m.If(self.valid):
            m.d.sync += [now.eq(above) for now, above in zip(collected, [*collected[self.lanes:], *self.i], strict=True)]
        held = Signal.like(self.o, reset_less=True)
        m.d.comb += self.o.eq(held)
        for n, column in enumerate(collected):
            with m.If(self.move):
                if self.packed:
                    m.d.sync += [word.eq((high << self.low_bits) + low) for word, low, high in zip(
                        held[n], column[::2], [*column[1::2], C(0, signed(BITS))], strict=False)]
                else:
                    m.d.sync += held[n].eq(column)
        return m


class AddSelect(LookupArray):
    """Each weight lets its activation through or not; then the adders of the lookups, which the weights' signs set.

    Parameters
    ----------
    rows, outputs, groups : int
        As for the lookups, of which each stands for ``TRITS`` weights.

    Members
    -------
    columns : In
        The tile's activations in the cycle of the cell.
    i : In
        Weights of the cell; output o's are ``o * TRITS * groups`` and following.
    o, negate : Out
        As the lookups' are.

    """

    def __init__(self, *, rows: int, outputs: int, groups: int) -> None:
        self.rows, self.outputs, self.count = rows, outputs, TRITS * groups
        levels = (self.count - 1).bit_length()
        self.LATENCY = 1 + -(-levels // 2)
        self.sum_bits = _sum_bits(groups)
        wiring.Component.__init__(self, {
            "columns": In(integers(rows=rows, lanes=self.count, width=BITS)),
            "i": In(trit_layout(outputs * self.count)),
            "o": Out(integers(rows=rows, lanes=outputs, width=self.sum_bits)),
            "negate": Out(outputs),
        })

    def _tables(self, m: Module, output: int) -> tuple[list[list[Value]], list[Value]]:
        """In place of the tables' entries: activations, or zero, which costs their registers' resets and no tables."""
        terms: list[list[Value]] = []
        weights = [self.i[output * self.count + n] for n in range(self.count)]
        for n, weight in enumerate(weights):
            terms.append([Signal(signed(BITS), name=f"term_{output}_{n}_{row}", reset_less=True) for row in range(self.rows)])
            for row, term in enumerate(terms[-1]):
                m.d.sync += term.eq(self.columns[n][row])
                with m.If(~weight.nonzero):
                    m.d.sync += term.eq(0)
        return terms, [weight.negate for weight in weights]


class MultiplyAdd(wiring.Component):
    """Multiplier blocks in cascades, one per output and two rows: two activations in a factor, far enough apart for their sums.

    Parameters
    ----------
    rows, outputs, groups : int
        As for the lookups, of which each stands for ``TRITS`` weights.

    Members
    -------
    take : In(1)
        With a tile's first cell.
    columns : In
        The tile's activations, two rows in a word, from the cycle of ``take`` on for as many cycles as there are columns.
    i : In
        Weights of the cell; output o's are ``o * TRITS * groups`` and following.
    o : Out
        Sums of the cell.

    """

    def __init__(self, *, rows: int, outputs: int, groups: int) -> None:
        self.rows, self.outputs, self.count = rows, outputs, TRITS * groups
        self.LATENCY = 3 + self.count
        self.sum_bits = _sum_bits(groups)
        super().__init__({
            "take": In(1),
            "columns": In(self.word(rows, groups)),
            "i": In(trit_layout(outputs * self.count)),
            "o": Out(integers(rows=rows, lanes=outputs, width=self.sum_bits)),
        })

    @staticmethod
    def word(rows: int, groups: int) -> data.ArrayLayout:
        """Activations of a tile with rows 2 n and 2 n + 1 in a word, the latter above a sum's bits."""
        return data.ArrayLayout(data.ArrayLayout(signed(_sum_bits(groups) + BITS + 1), -(-rows // 2)), TRITS * groups)

    def elaborate(self, platform) -> Module:
        m = Module()
        pairs, low = range(-(-self.rows // 2)), self.sum_bits
        takes = [self.take]
        for n in range(1, self.count):
            takes.append(delay(m, takes[-1], name=f"take_{n}"))
        for output in range(self.outputs):
            weights = []
            for n in range(self.count):
                weight = self.i[output * self.count + n]
                # The lane's sum is one cycle later than that of the lane before, and so is its weight.
                late = register(m, Cat(weight.nonzero, weight.negate & weight.nonzero), name=f"weight_{output}_{n}", cycles=n + 1)
                weights.append(late.as_signed())
            for pair in pairs:
                total: Value = C(0, signed(2 * low))
                for n in range(self.count):
                    name = f"{output}_{n}_{pair}"
                    act = Signal(self.columns[n][pair].shape(), name=f"act_{name}", reset_less=True)
                    with m.If(takes[n]):
                        m.d.sync += act.eq(self.columns[n][pair])
                    product = register(m, act * weights[n], name=f"product_{name}")
                    total = register(m, (total + product)[:2 * low].as_signed(), name=f"total_{name}")
                # A negative lower sum has borrowed one from the upper one.
                both = [total[:low].as_signed(), (total[low:].as_signed() + total[low - 1])[:low].as_signed()]
                for half, value in enumerate(both[:self.rows - 2 * pair]):
                    m.d.comb += self.o[output][2 * pair + half].eq(register(m, value, name=f"sum_{output}_{pair}_{half}"))
        return m
