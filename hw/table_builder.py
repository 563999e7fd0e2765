"""Tables of signed sums of activations, made without multipliers.

The arithmetic is defined by its twin, :func:`terntable.models.golden.table_builder.build_tables`.
"""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.shapes import integers
from terntable.hw.spec.lookup import ADDRESS_BITS, ENTRIES, ENTRY_BITS, STEPS, TRITS

__all__ = ["TableBuilder", "add_or_subtract", "entry_layout", "feed_layout"]


def feed_layout(rows: int, lanes: int) -> data.StructLayout:
    """A word of int8 columns; those without their bit of ``keep`` count as zero. ``mark`` goes with a tile's last word."""
    return data.StructLayout({"columns": integers(rows=rows, lanes=lanes, width=8), "keep": lanes, "mark": 1})


def entry_layout(rows: int, groups: int, parts: int) -> data.StructLayout:
    """Entry ``address`` of the tables of one part's groups, for bank ``bank``."""
    # Not even one part has a field of no bits, which Verilog does not know.
    return data.StructLayout({
        "valid": 1,
        "bank": 1,
        "part": range(max(2, parts)),
        "address": ADDRESS_BITS,
        "sums": integers(rows=rows, lanes=groups // parts, width=ENTRY_BITS),
    })


class TableBuilder(wiring.Component):
    """Collects the columns of a tile part by part, and emits each part's tables entry by entry.

    ============  =================================================================================
    Computes      ``build_tables``
    Latency       ``LATENCY`` cycles from the last word of a part accepted to its first entry, if
                  ``go`` is high and no other part is being built
    Throughput    a part takes ``ENTRIES`` cycles, or ``words`` if those are more: the next part's
                  words are collected meanwhile
    Widths        sums of 10 bits (-384 .. 384), cannot overflow
    Stall         ``go`` holds a tile back before its first entry; entries never wait
    ============  =================================================================================

    Parameters
    ----------
    rows, lanes, groups : int
        Token rows, columns of a word, and lookups of a tile.
    parts : int
        In how many runs a tile's tables are built; more runs need less logic.

    Members
    -------
    i : In(stream)
        ``words`` words make a part.
    go : In(1)
        A tile may be begun: nobody reads the tables of the bank that it goes to.
    begin : Out(1)
        High for one cycle: a tile is begun.
    end : Out(1)
        High for one cycle when the last entry is ``LATENCY - 1`` cycles off; ``mark`` is its tile's.
    o : Out
        An entry of the tables of a part's groups. Tiles go to the banks in turn, the first one to bank 0.

    Attributes
    ----------
    words : int
        Words of a part.

    """

    LATENCY = 4

    def __init__(self, *, rows: int, lanes: int, groups: int, parts: int):
        for name, value in (("rows", rows), ("lanes", lanes), ("groups", groups), ("parts", parts)):
            if type(value) is not int or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        if groups % parts:
            raise ValueError(f"parts must divide groups = {groups}, but it is {parts}")
        columns = TRITS * groups // parts
        if columns % lanes:
            raise ValueError(f"lanes must divide the {columns} columns of a part, since no word may straddle two parts, "
                             f"but it is {lanes}")
        self.rows, self.lanes, self.groups, self.parts = rows, lanes, groups, parts
        self.words = columns // lanes
        super().__init__({
            "i": In(stream.Signature(feed_layout(rows, lanes))),
            "go": In(1),
            "begin": Out(1),
            "end": Out(1),
            "mark": Out(1),
            "o": Out(entry_layout(rows, groups, parts)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        column = data.ArrayLayout(signed(8), self.rows)
        count = self.words * self.lanes
        collected = [Signal(column, name=f"collected_{n}", reset_less=True) for n in range(count)]
        held = [Signal(column, name=f"held_{n}", reset_less=True) for n in range(count)]
        whole, building, mark = Signal(), Signal(), Signal()
        move, final, last_part = Signal(), Signal(), Signal()
        free = Signal(init=1)          # nothing is built, or the last entry is at hand

        # Words are shifted in from above, so that the first one ends lowest.
        word, taken = Signal(range(max(2, self.words))), Signal()
        m.d.comb += [self.i.ready.eq(~whole | move), taken.eq(self.i.valid & self.i.ready)]
        with m.If(move):
            m.d.sync += whole.eq(0)
        with m.If(taken):
            m.d.sync += [word.eq(word + 1), mark.eq(self.i.p.mark)]
            with m.If(word == self.words - 1):
                m.d.sync += [word.eq(0), whole.eq(1)]
            m.d.sync += [now.eq(above) for now, above in zip(collected, collected[self.lanes:], strict=False)]
        for lane, top in enumerate(collected[-self.lanes:]):
            with m.If(taken & ~self.i.p.keep[lane]):
                m.d.sync += top.eq(0)
            with m.Elif(taken):
                m.d.sync += top.eq(self.i.p.columns[lane])

        step, part, bank = Signal(range(ENTRIES)), Signal(range(max(2, self.parts))), Signal(init=1)
        first_part = Signal(init=1)    # the part that moves next begins a tile
        m.d.comb += [
            last_part.eq(part == self.parts - 1),
            move.eq(whole & free & (~first_part | self.go)),
            self.begin.eq(move & first_part),
            self.end.eq(building & final & last_part),
        ]
        with m.If(building):
            m.d.sync += [step.eq(Mux(final, 0, step + 1)), final.eq(step == ENTRIES - 2), free.eq(final | (step == ENTRIES - 2))]
            with m.If(final):
                m.d.sync += building.eq(0)
        with m.If(move):
            m.d.sync += [kept.eq(new) for kept, new in zip(held, collected, strict=True)]
            m.d.sync += [
                building.eq(1),
                free.eq(0),
                self.mark.eq(mark),
                part.eq(Mux(first_part, 0, part + 1)),
                first_part.eq(Mux(first_part, 0, part + 1) == self.parts - 1),
            ]
            with m.If(first_part):
                m.d.sync += bank.eq(~bank)
        self._sums(m, building, step, part, bank, held)
        return m

    def _sums(self, m: Module, building: Signal, step: Signal, part: Signal, bank: Signal, held: list[Signal]) -> None:
        """Choose the activation of the step, then add it to the entry before or take it away."""
        clear, minus, negative = Signal(), Signal(), Signal()
        place = Signal(range(TRITS))
        with m.Switch(step):
            for number, (which, sign) in enumerate(STEPS):
                with m.Case(number):
                    m.d.comb += [place.eq(which), negative.eq(sign < 0)]
        m.d.sync += [clear.eq(step == 0), minus.eq(negative)]
        late = Signal(data.StructLayout({"valid": 1, "bank": 1, "part": range(max(2, self.parts)), "address": ADDRESS_BITS}))
        m.d.sync += [late.valid.eq(building), late.bank.eq(bank), late.part.eq(part), late.address.eq(step)]
        m.d.sync += [self.o[name].eq(late[name]) for name in ("valid", "bank", "part", "address")]
        for group in range(self.groups // self.parts):
            for row in range(self.rows):
                # Inverted already: what is added is one more then, which a place below the lowest carries in.
                chosen = Signal(signed(8), name=f"chosen_{group}_{row}", reset_less=True)
                total = Signal(signed(ENTRY_BITS), name=f"total_{group}_{row}", reset_less=True)
                columns = Array(held[TRITS * group + which][row] for which in range(TRITS))
                m.d.comb += self.o.sums[group][row].eq(total)
                m.d.sync += [
                    chosen.eq(columns[place] ^ negative.replicate(8).as_signed()),
                    total.eq(Mux(clear, 0, (Cat(1, total).as_signed() + Cat(minus, chosen).as_signed())[1:])),
                ]


def add_or_subtract(a: Value, b: Value, minus: Value) -> Value:
    """``a - b`` where ``minus`` is 1, else ``a + b``, a bit wider than ``a``, which is no narrower than ``b``.

    The second term is inverted, and a place below the lowest brings in the carry that this takes: one adder, without a level more.
    """
    wide = Cat(b, b[-1].replicate(len(a) - len(b)))
    total = Cat(1, a).as_signed() + Cat(minus, wide ^ minus.replicate(len(a))).as_signed()
    return total[1:len(a) + 2].as_signed()
