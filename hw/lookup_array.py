"""Table lookups of one cell and their sums: each output of the cell for each token row.

The arithmetic is defined by its twin, :func:`terntable.models.golden.lookup_array.lookup`.
"""

from amaranth import *
from amaranth.hdl import ValueLike
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.shapes import integers
from terntable.hw.spec.lookup import ADDRESS_BITS, ENTRY_BITS
from terntable.hw.table_builder import add_or_subtract, entry_layout
from terntable.hw.trit_gear import lookup_layout

__all__ = ["LookupArray"]


class LookupArray(wiring.Component):
    """Two banks of tables; one is read by cells while the other is written.

    ============  ====================================================================
    Computes      ``lookup``
    Latency       ``LATENCY`` cycles; tables are read in the cycle of the cell, and an
                  entry is there from the cycle after it was written
    Throughput    one cell per cycle, one written entry per cycle
    Widths        sums of ``sum_bits`` bits, cannot overflow
    Stall         none
    ============  ====================================================================

    Parameters
    ----------
    rows, outputs, groups, parts : int
        Token rows, outputs of a cell, lookups that share an output, and parts in which tables are written.

    Members
    -------
    write : In
        An entry as ``TableBuilder`` emits it.
    i : In
        Lookups of the cell; output o's are ``o * groups`` and following.
    bank : In(1)
        The tables to read.
    o : Out
        Sums of the cell's lookups, or their opposites.
    negate : Out
        A bit for each output: ``o`` holds the opposite of its sums.

    Attributes
    ----------
    LATENCY : int
        One cycle for the tables and one for every two levels of the adder tree.
    sum_bits : int
        Width of a sum.

    """

    def __init__(self, *, rows: int, outputs: int, groups: int, parts: int):
        for name, value in (("rows", rows), ("outputs", outputs), ("groups", groups), ("parts", parts)):
            if type(value) is not int or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        if groups % parts:
            raise ValueError(f"parts must divide groups = {groups}, but it is {parts}")
        self.rows, self.outputs, self.groups, self.parts = rows, outputs, groups, parts
        levels = (groups - 1).bit_length()
        self.LATENCY = 1 + -(-levels // 2)
        self.sum_bits = ENTRY_BITS + levels
        super().__init__({
            "write": In(entry_layout(rows, groups, parts)),
            "i": In(lookup_layout(outputs * groups)),
            "bank": In(1),
            "o": Out(integers(rows=rows, lanes=outputs, width=self.sum_bits)),
            "negate": Out(outputs),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        for output in range(self.outputs):
            terms, signs = self._tables(m, output)
            stage = 0
            while len(signs) > 1:
                # Two levels of adders, then registers. All rows have the same signs, which are known a stage ahead.
                for level in range(2):
                    terms, signs = self._level(m, terms, signs, ahead=stage, name=f"{output}_{stage}_{level}")
                stage += 1
                terms = [[self._held(m, term, f"sum_{output}_{stage}_{n}_{row}") for row, term in enumerate(rows)]
                         for n, rows in enumerate(terms)]
            m.d.comb += self.negate[output].eq(self._delayed(m, signs[0], self.LATENCY, f"negate_{output}"))
            m.d.comb += [self.o[output][row].eq(terms[0][row]) for row in range(self.rows)]
        return m

    def _tables(self, m: Module, output: int) -> tuple[list[list[Value]], list[Value]]:
        """One output's copies of the tables: for each group the registered entries of all rows, and the lookup's sign."""
        terms, signs = [], []
        write, inner = self.write, self.groups // self.parts
        for group in range(self.groups):
            lookup = self.i[output * self.groups + group]
            word = data.ArrayLayout(signed(ENTRY_BITS), self.rows)
            table: memory.Memory = memory.Memory(shape=word, depth=2 << ADDRESS_BITS, init=[])
            m.submodules[f"table_{output}_{group}"] = table
            port, read = table.write_port(), table.read_port(domain="comb")
            m.d.comb += [
                port.addr.eq(Cat(write.address, write.bank)),
                port.data.eq(write.sums[group % inner]),
                port.en.eq(write.valid & (write.part == group // inner)),
                read.addr.eq(Cat(lookup.address, self.bank)),
            ]
            terms.append([self._held(m, read.data[row], f"entry_{output}_{group}_{row}") for row in range(self.rows)])
            signs.append(lookup.negate)
        return terms, signs

    def _level(self, m: Module, terms: list[list[Value]], signs: list[Value], *, ahead: int, name: str):
        """Pairs added up to the sign of the first one: where the signs differ, the second one is taken away."""
        sums, kept = [], []
        for n in range(0, len(signs), 2):
            kept.append(signs[n])
            if n + 1 == len(signs):
                sums.append(terms[n])
                continue
            # The lookups' own signs are those of the cycle before the entries'.
            differ = self._delayed(m, signs[n] ^ signs[n + 1], 1 + ahead, f"differ_{name}_{n}")
            sums.append([add_or_subtract(a, b, differ) for a, b in zip(terms[n], terms[n + 1], strict=True)])
        return sums, kept

    @staticmethod
    def _held(m: Module, value: ValueLike, name: str) -> Signal:
        held = Signal(Value.cast(value).shape(), name=name, reset_less=True)
        m.d.sync += held.eq(value)
        return held

    def _delayed(self, m: Module, value: Value, cycles: int, name: str) -> Value:
        for n in range(cycles):
            value = self._held(m, value, f"{name}_{n}")
        return value
