"""Table lookups of one beat and their sums: each output of the beat for each token row.

The arithmetic is defined by its twin, :func:`terntable.models.golden.lookup_array.lookup`.
"""

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.base3 import decoded_layout
from terntable.hw.table_builder import entry_layout
from terntable.quant.base3 import TRITS_PER_BYTE

__all__ = ["LookupArray"]

#: Terms that one pipeline stage adds.
FAN_IN = 4
LOW_BITS, HIGH_BITS = 5, 4
ENTRY_BITS = 10


class LookupArray(wiring.Component):
    """Two banks of tables; one is read by beats while the other is written.

    ============  ====================================================================
    Computes      ``lookup``
    Latency       ``LATENCY`` cycles, ``i`` accepted to ``o`` valid; tables are read
                  in the cycle in which the beat is accepted
    Throughput    one beat per cycle, one written entry per cycle
    Widths        sums of ``sum_bits`` bits, cannot overflow
    Stall         beats stand still while ``o`` waits; ``write`` is always ready
    ============  ====================================================================

    Parameters
    ----------
    rows, lanes, groups : int
        Token rows, outputs of a beat, and bytes of a beat that share an output.

    Members
    -------
    write : In(stream)
        An entry of every table, as ``TableBuilder`` emits it, and the bank that it is for.
    i : In(stream)
        ``low`` and ``high`` of ``lanes * groups`` bytes, byte ``lane * groups + group``, and the bank
        to read.
    o : Out(stream)
        Word of sums: lane e, row r at bit ``(e * rows + r) * sum_bits``.

    Attributes
    ----------
    LATENCY : int
        One cycle for the tables and one for every two levels of the adder tree.
    sum_bits : int
        Width of a sum.

    """

    def __init__(self, *, rows: int, lanes: int, groups: int):
        for name, value in (("rows", rows), ("lanes", lanes), ("groups", groups)):
            if type(value) is not int or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        self.rows, self.lanes, self.groups = rows, lanes, groups
        self.sum_bits = (TRITS_PER_BYTE * groups * 128).bit_length() + 1
        self.LATENCY, terms = 1, 2 * groups
        while terms > 1:
            self.LATENCY, terms = self.LATENCY + 1, -(-terms // FAN_IN)
        sums = data.ArrayLayout(data.ArrayLayout(signed(self.sum_bits), rows), lanes)
        super().__init__({
            "write": In(stream.Signature(entry_layout(rows, groups, bank=1))),
            "i": In(stream.Signature(decoded_layout(lanes * groups, bank=1))),
            "o": Out(stream.Signature(sums)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        step = Signal()
        full = Signal(self.LATENCY)    # bit n: stage n holds a beat on its way
        m.d.comb += [
            step.eq(~self.o.valid | self.o.ready),
            self.i.ready.eq(step),
            self.o.valid.eq(full[-1]),
            self.write.ready.eq(1),
        ]
        with m.If(step):
            m.d.sync += full.eq(Cat(self.i.valid, full))
        moves = [Signal(name=f"moves_{n}") for n in range(self.LATENCY)]
        for n, moving in enumerate(moves):
            m.d.comb += moving.eq(step & (self.i.valid if n == 0 else full[n - 1]))

        terms = self._tables(m, moves[0])
        for stage, moving in enumerate(moves[1:]):
            for place, values in terms.items():
                sums = []
                for n in range(0, len(values), FAN_IN):
                    total = Value.cast(sum(values[n:n + FAN_IN]))
                    held = Signal(signed(min(len(total), self.sum_bits)), reset_less=True,
                                  name=f"sum_{stage}_{place[0]}_{place[1]}_{n}")
                    with m.If(moving):
                        m.d.sync += held.eq(total)
                    sums.append(held)
                terms[place] = sums
        for (lane, r), (total,) in terms.items():
            m.d.comb += self.o.p[lane][r].eq(total)
        return m

    def _tables(self, m: Module, moving: Signal) -> dict[tuple[int, int], list[Signal]]:
        """The memories; returns, for each lane and row, the registered entries that the beat picks."""
        found: dict[tuple[int, int], list[Signal]] = {
            (lane, r): [] for lane in range(self.lanes) for r in range(self.rows)}
        write, beat = self.write.p, self.i.p
        # The high table has 9 entries; writing the zeros up to 15 makes its end a bit of `entry`.
        valid = self.write.valid
        tables = {"low": (LOW_BITS, valid), "high": (HIGH_BITS, valid & ~write.entry[HIGH_BITS])}
        for t in range(self.groups):
            for r in range(self.rows):
                for kind, (bits, enable) in tables.items():
                    table: memory.Memory = memory.Memory(shape=signed(ENTRY_BITS), depth=2 << bits, init=[])
                    m.submodules[f"{kind}_{t}_{r}"] = table
                    port = table.write_port()
                    m.d.comb += [
                        port.addr.eq(Cat(write.entry[:bits], write.bank)),
                        port.data.eq(write[kind][t][r]),
                        port.en.eq(enable),
                    ]
                    for lane in range(self.lanes):
                        read = table.read_port(domain="comb")
                        held = Signal(signed(ENTRY_BITS), name=f"{kind}_{t}_{r}_{lane}_held", reset_less=True)
                        m.d.comb += read.addr.eq(Cat(beat[kind][lane * self.groups + t], beat.bank))
                        with m.If(moving):
                            m.d.sync += held.eq(read.data)
                        found[lane, r].append(held)
        return found
