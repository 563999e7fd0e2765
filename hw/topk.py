"""The k largest of a row's numbers, kept in order as they come.

The arithmetic is defined by its twin, :func:`terntable.models.golden.topk.topk`.
"""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["TopK"]

#: Sort key of zero.
ZERO = 1 << 31


class TopK(wiring.Component):
    """A sorted list of candidates for each row.

    ============  =====================================================
    Computes      ``topk`` of the items since ``clear``, for all rows at once
    Latency       ``LATENCY`` cycles from an accepted item to the outputs
    Throughput    one item per cycle
    Widths        float32 patterns; indices of 32 bits at the outputs
    Stall         never; ``i.ready`` is constant
    ============  =====================================================

    Parameters
    ----------
    rows : int
        Lists.
    k : int
        Entries of a list.
    index_bits : int
        Bits of a candidate's index, 1..32.

    Members
    -------
    clear : In(1)
        Empties all lists; an item of this or the last cycle is dropped.
    i : In(stream of {index, logit})
        The next candidate's index and its number in each row. A tie goes to the earlier one.
    best_index, best_logit : Out(32 x k x rows)
        Best first. An unused entry has index 0xFFFFFFFF and logit 0.

    """

    LATENCY = 2

    def __init__(self, *, rows: int, k: int, index_bits: int = 32):
        for name, value, high in (("rows", rows, 64), ("k", k, 64), ("index_bits", index_bits, 32)):
            if type(value) is not int or not 1 <= value <= high:
                raise ValueError(f"{name} must be 1..{high}, not {value!r}")
        self.rows, self.k, self.index_bits = rows, k, index_bits
        lists = data.ArrayLayout(data.ArrayLayout(32, k), rows)
        item = data.StructLayout({"index": index_bits, "logit": data.ArrayLayout(32, rows)})
        super().__init__({
            "clear": In(1),
            "i": In(stream.Signature(item)),
            "best_index": Out(lists),
            "best_logit": Out(lists),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        # Patterns order as integers once negative ones are inverted and the others moved above them.
        index = Signal(self.index_bits, reset_less=True)
        fresh = Signal()
        m.d.comb += self.i.ready.eq(1)
        m.d.sync += fresh.eq(self.i.valid & ~self.clear)
        with m.If(self.i.valid):
            m.d.sync += index.eq(self.i.p.index)

        Entry = data.StructLayout({"used": 1, "index": self.index_bits, "key": 32})
        for row in range(self.rows):
            pattern = self.i.p.logit[row]
            key = Signal(32, name=f"key_{row}", reset_less=True)
            with m.If(self.i.valid):
                m.d.sync += key.eq(Mux(pattern[31] & pattern[:31].any(), ~pattern, pattern | ZERO))

            entries = [Signal(Entry, name=f"entry_{row}_{n}", init={"key": ZERO}) for n in range(self.k)]
            # Lists are sorted, so the entries that stay are the first ones; the rest moves one down.
            stays = Signal(self.k, name=f"stays_{row}")
            m.d.comb += [stays[n].eq(entry.used & (entry.key >= key)) for n, entry in enumerate(entries)]
            with m.If(self.clear):
                for entry in entries:
                    m.d.sync += [entry.used.eq(0), entry.key.eq(ZERO)]
            with m.Elif(fresh & ~stays[-1]):
                for n, entry in enumerate(entries):
                    with m.If(~stays[n]):
                        if n:
                            m.d.sync += entry.eq(entries[n - 1])
                        with m.If(stays[n - 1] if n else 1):
                            m.d.sync += [entry.used.eq(1), entry.index.eq(index), entry.key.eq(key)]
            for n, entry in enumerate(entries):
                m.d.comb += [
                    self.best_index[row][n].eq(Mux(entry.used, entry.index, 0xFFFFFFFF)),
                    self.best_logit[row][n].eq(Mux(entry.key[31], entry.key[:31], ~entry.key)),
                ]
        return m
