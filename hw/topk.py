"""The k largest of each row's numbers, kept in order as they come.

The arithmetic is defined by its twin, :func:`terntable.models.golden.topk.topk`.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from terntable.hw.kernel import register

__all__ = ["TopK"]

#: Sort key of zero.
ZERO = 1 << 31

#: Items that may wait to enter a list, and items on their way that their count does not know of.
QUEUE, UNCOUNTED = 16, 4


class TopK(wiring.Component):
    """A sorted list of candidates for each row, in one memory.

    ============  =====================================================
    Computes      ``topk`` of the items since ``clear``
    Latency       3 cycles from an accepted item until ``idle``; 7 + k - p for one that enters its list at place p
    Throughput    one item per cycle as long as they are no better than the last of their list; entering at place p takes
                  3 + k - p cycles, one item after the other. That is rare: about k ln(n / k) of n items in random order
    Widths        float32 patterns; indices of 32 bits at the outputs
    Stall         ``i.ready`` is low while a dozen items wait to enter, and rows x k cycles (both rounded up to powers of two)
                  after ``clear``
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
        Empties all lists; only while idle.
    i : In(stream of {index, row, logit})
        The next candidate of a row, in any order. A tie goes to the lower index.
    idle : Out(1)
        All accepted items are in.
    row, place : In
        Entry to read while idle, best first; it shows in the next cycle.
    best_index, best_logit : Out(32)
        An unused entry has index 0xFFFFFFFF and logit 0.

    """

    def __init__(self, *, rows: int, k: int, index_bits: int = 32) -> None:
        for name, value, high in (("rows", rows, 64), ("k", k, 64), ("index_bits", index_bits, 32)):
            if type(value) is not int or not 1 <= value <= high:
                raise ValueError(f"{name} must be 1..{high}, not {value!r}")
        self.rows, self.k, self.index_bits = rows, k, index_bits
        self.row_bits, self.place_bits = max(1, (rows - 1).bit_length()), max(1, (k - 1).bit_length())
        super().__init__({
            "clear": In(1),
            "i": In(stream.Signature(data.StructLayout({"index": index_bits, "row": self.row_bits, "logit": 32}))),
            "idle": Out(1),
            "row": In(self.row_bits), "place": In(self.place_bits),
            "best_index": Out(32), "best_logit": Out(32),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        # Keys order as numbers, with a bit above them that an unused entry lacks. Below them lies the inverted index, so that an
        # entry beats another exactly if it is larger as a whole.
        Entry = data.StructLayout({"index": self.index_bits, "key": 33})
        Item = data.StructLayout({"entry": Entry, "row": self.row_bits})
        spread = {"ram_style": "distributed"}
        m.submodules.lists = lists = Memory(shape=Entry, depth=1 << (self.row_bits + self.place_bits), init=[], attrs=spread)
        m.submodules.lasts = lasts = Memory(shape=Entry.size, depth=1 << self.row_bits, init=[], attrs=spread)
        write, read = lists.write_port(), lists.read_port()
        last_write, last_read = lasts.write_port(), lasts.read_port()
        clearing, walking, fetching = Signal(), Signal(), Signal()

        # An item that does not beat the last of its list is dropped. The list may get better before its turn comes, so one that
        # does is only a candidate.
        m.submodules.queue = queue = SyncFIFO(width=Item.size, depth=QUEUE)
        held, fresh, candidate, room = Signal(), Signal(), Signal(), Signal()
        taken = Signal(self.i.payload.shape(), reset_less=True)
        first, second = Signal(Item, reset_less=True), Signal(Item, reset_less=True)
        pattern, incoming = taken.logit, self.i.payload.logit
        negative = register(m, incoming[31] & incoming[:31].any(), name="negative")
        m.d.comb += [
            self.i.ready.eq(room), last_read.addr.eq(taken.row), last_read.en.eq(1),
            queue.w_en.eq(candidate), queue.w_data.eq(second),
        ]
        m.d.sync += [
            room.eq((queue.level < QUEUE - UNCOUNTED) & ~(self.clear | clearing)),
            held.eq(self.i.valid & self.i.ready), taken.eq(self.i.payload),
            fresh.eq(held), first.entry.index.eq(~taken.index), first.row.eq(taken.row),
            # Patterns order as integers once negative ones are inverted and the others moved above them.
            first.entry.key.eq(Cat(Mux(negative, ~pattern, pattern | ZERO), 1)),
            second.eq(first), candidate.eq(fresh & (first.entry.as_value() > last_read.data)),
        ]

        # A candidate walks up its list from below the end; whatever it passes moves a place down.
        item, place = Signal(Item, reset_less=True), Signal(range(self.k + 1))
        # What the place is: below the list, its last, its first.
        below, lowest, top = Signal(), Signal(), Signal()
        clear_at = Signal(self.row_bits + self.place_bits)
        passes, put = Signal(), Signal()
        above = Signal(self.place_bits)
        m.d.comb += [
            passes.eq(~top & (item.entry.as_value() > read.data.as_value())),
            put.eq(walking & ~below),
            # The entry above the place is read a cycle ahead.
            above.eq(Mux(walking, place - 2, self.k - 1)),
            read.en.eq(1),
            read.addr.eq(Mux(walking | fetching, Cat(above, item.row), Cat(self.place, self.row))),
            write.addr.eq(Mux(clearing, clear_at, Cat(place[:self.place_bits], item.row))),
            write.data.eq(Mux(clearing, 0, Mux(passes, read.data, item.entry))),
            write.en.eq(clearing | put),
            last_write.addr.eq(Mux(clearing, clear_at[self.place_bits:], item.row)),
            last_write.data.eq(write.data),
            last_write.en.eq(clearing | (walking & lowest)),
            queue.r_en.eq(~(fetching | walking)),
            self.idle.eq(~(held | fresh | candidate | queue.r_rdy | fetching | walking | clearing)),
            self.best_index.eq(Mux(read.data.key[32], ~read.data.index, 0xFFFFFFFF)),
            self.best_logit.eq(Mux(read.data.key[32], Mux(read.data.key[31], read.data.key[:31], ~read.data.key[:32]), 0)),
        ]
        with m.If(queue.r_en & queue.r_rdy):
            m.d.sync += [item.eq(queue.r_data), place.eq(self.k), below.eq(1), lowest.eq(0), top.eq(0), fetching.eq(1)]
        with m.If(fetching):
            m.d.sync += [fetching.eq(0), walking.eq(1)]
        with m.If(walking):
            m.d.sync += [place.eq(place - 1), below.eq(0), lowest.eq(below), top.eq(place == 1), walking.eq(passes)]
        with m.If(self.clear):
            m.d.sync += [clearing.eq(1), clear_at.eq(0)]
        with m.Elif(clearing):
            m.d.sync += [clear_at.eq(clear_at + 1), clearing.eq(~clear_at.all())]
        return m
