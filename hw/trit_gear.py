"""Words of five trits a byte turned into cells of three trits a byte lane, as table addresses.

The arithmetic is defined by its twin, :func:`terntable.models.golden.trit_gear.lookups`.
"""

from functools import reduce
from operator import or_

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.base3 import Base3Split, looked_up
from terntable.hw.spec.layout import FRAME_CELLS
from terntable.hw.spec.lookup import ADDRESS_BITS, CODES, TRITS

__all__ = ["TAKING", "TritGear", "lookup_layout"]

#: Cells of a frame that a new word comes with. The others find all their trits in the word before.
TAKING = (0, 1, 3)

#: Where the three trits of each cell lie: trits 0 to 4 of the newest word's byte; -2 and -1 are trits 3 and 4 of the one before.
_PLACES = ((0, 1, 2), (-2, -1, 0), (1, 2, 3), (-1, 0, 1), (2, 3, 4))

#: Trits 2 to 4 of a byte, two bits each, by the number that they make; illegal bytes have some too.
_REST = [number % 3 | number // 3 % 3 << 2 | min(number // 9, 2) << 4 for number in range(32)]

#: ``address | negate << ADDRESS_BITS`` of three trits of two bits each.
_CODE = [0] * (1 << 2 * TRITS)
for _number, (_address, _negate) in enumerate(CODES):
    _CODE[_number % 3 | _number // 3 % 3 << 2 | _number // 9 << 4] = _address | _negate << ADDRESS_BITS


def lookup_layout(count: int) -> data.ArrayLayout:
    """Lookups: the table entry that each asks for, and whether it is to be negated."""
    return data.ArrayLayout(data.StructLayout({"address": ADDRESS_BITS, "negate": 1}), count)


class TritGear(wiring.Component):
    """Three words make five cells; a cell has a lookup for each byte lane.

    ============  =======================================================================
    Computes      ``lookups``
    Latency       ``LATENCY`` cycles from the cell's ``phase`` to its ``o`` and ``illegal``
    Throughput    one cell per cycle
    Widths        a lookup is a 4-bit address and a sign
    Stall         none; cells may come in any cycles
    ============  =======================================================================

    Parameters
    ----------
    word_bytes : int
        Bytes of one word, and lookups of a cell.

    Members
    -------
    phase : In
        Number of the cell in its frame. Cells of a frame come in order.
    take : In(1)
        ``word`` comes with this cell, which it must for the cells in ``TAKING`` and no others.
    word : In
        The bytes, first byte lowest.
    o : Out
        Lookups of the cell.
    illegal : Out(1)
        For one cycle: a byte of the word was 243 or more.

    """

    LATENCY = 3

    def __init__(self, *, word_bytes: int):
        self._split = Base3Split(word_bytes=word_bytes)
        self.word_bytes = word_bytes
        super().__init__({
            "phase": In(range(FRAME_CELLS)),
            "take": In(1),
            "word": In(data.ArrayLayout(unsigned(8), word_bytes)),
            "o": Out(lookup_layout(word_bytes)),
            "illegal": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.split = split = self._split
        m.d.comb += [split.take.eq(self.take), split.word.eq(self.word), self.illegal.eq(split.illegal)]
        idle = Signal(FRAME_CELLS)    # bit p: no cell of phase p has its bytes split now
        m.d.sync += idle.eq(~(1 << self.phase))
        for n in range(self.word_bytes):
            byte, rest = split.o[n], Signal(6, name=f"rest_{n}")
            m.d.comb += rest.eq(looked_up(_REST, byte.rest, 6))
            trits: dict[int, Value] = {0: byte.first, 1: byte.second, 2: rest[:2], 3: rest[2:4], 4: rest[4:]}
            for place in (-2, -1):
                trits[place] = Signal(2, name=f"before_{place + 5}_{n}", reset_less=True)
                with m.If(self.take):
                    m.d.sync += trits[place].eq(trits[place + 5])
            # Each phase has a register of its own, zero while it is not that phase's turn: choosing between them is an OR.
            offers = [Signal(2 * TRITS, name=f"offer_{phase}_{n}", reset_less=True) for phase in range(FRAME_CELLS)]
            for phase, (offer, places) in enumerate(zip(offers, _PLACES, strict=True)):
                m.d.sync += offer.eq(Mux(idle[phase], 0, Cat(trits[place] for place in places)))
            chosen = Signal(2 * TRITS, name=f"chosen_{n}")
            m.d.comb += chosen.eq(reduce(or_, offers))
            m.d.sync += self.o[n].eq(looked_up(_CODE, chosen, ADDRESS_BITS + 1))
        return m
