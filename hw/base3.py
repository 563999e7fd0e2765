"""Bytes of five trits split into two trits and the number of the other three.

The arithmetic is defined by its twin, :func:`terntable.models.golden.base3.split_bytes`.
"""

from collections.abc import Sequence

from amaranth import *
from amaranth.hdl import ValueLike
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.kernel import delay
from terntable.quant.base3 import LEGAL_BYTES

__all__ = ["Base3Split", "looked_up", "split_layout"]


def split_layout(word_bytes: int) -> data.ArrayLayout:
    """Per byte: trits 0 and 1 as 0, 1, 2 for -1, 0, 1, and ``rest``, the number ``byte // 9`` of trits 2 to 4."""
    return data.ArrayLayout(data.StructLayout({"first": 2, "second": 2, "rest": 5}), word_bytes)


def looked_up(table: Sequence[int], index: ValueLike, bits: int) -> Value:
    """Entry of ``table``. With 64 entries or fewer it is one lookup table of the device for each bit."""
    return Cat(C(sum((entry >> bit & 1) << place for place, entry in enumerate(table)), len(table)).bit_select(index, 1)
               for bit in range(bits))


#: Long division by 9. The upper six bits of a byte leave a remainder, which the lower two bits follow. Remainders are written
#: as two trits, so that the second one is trits 0 and 1.
_UPPER, _LOWER = 6, 2


def _remainder(value: int) -> int:
    return value % 9 // 3 << 2 | value % 3


_UPPER_TABLE = [value // 9 << 4 | _remainder(value) for value in range(1 << _UPPER)]
_LOWER_TABLE = [0] * 64
for _value in range(9):
    for _below in range(1 << _LOWER):
        _whole = _value << _LOWER | _below
        _LOWER_TABLE[_remainder(_value) << _LOWER | _below] = _whole // 9 << 4 | _remainder(_whole)


#: Bytes that one register tells about: whether any is illegal.
_GROUP = 8


class Base3Split(wiring.Component):
    """``byte = first + 3 * second + 9 * rest`` for each byte of a word.

    ============  =========================================================================
    Computes      ``split_bytes``
    Latency       ``LATENCY`` cycles from ``take`` to ``o``, which holds until the next word's;
                  two more to ``illegal``
    Throughput    one word per cycle
    Widths        ``rest`` 5 bits, 0 .. 28; above 26 the byte is illegal
    Stall         none: ``take`` is obeyed
    ============  =========================================================================

    Parameters
    ----------
    word_bytes : int
        Bytes of one word.

    Members
    -------
    take : In(1)
        ``word`` is to be split.
    word : In
        The bytes, first byte lowest.
    o : Out
        The parts of each byte.
    illegal : Out(1)
        For one cycle: a byte of the word was 243 or more.

    """

    LATENCY = 1

    def __init__(self, *, word_bytes: int):
        if type(word_bytes) is not int or word_bytes < 1:
            raise ValueError(f"word_bytes must be a positive integer, not {word_bytes!r}")
        self.word_bytes = word_bytes
        super().__init__({
            "take": In(1),
            "word": In(data.ArrayLayout(unsigned(8), word_bytes)),
            "o": Out(split_layout(word_bytes)),
            "illegal": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        # A wide word's bytes are too many to look at in one cycle.
        wrong, some = Signal(self.word_bytes), Signal(-(-self.word_bytes // _GROUP))
        m.d.sync += [some.eq(Cat(wrong[low:low + _GROUP].any() for low in range(0, self.word_bytes, _GROUP))),
                     self.illegal.eq(delay(m, self.take, name="taken", cycles=2) & some.any())]
        for n in range(self.word_bytes):
            byte, out = self.word[n], self.o[n]
            upper, lower = Signal(7, name=f"upper_{n}"), Signal(6, name=f"lower_{n}")
            m.d.comb += [
                upper.eq(looked_up(_UPPER_TABLE, byte[_LOWER:], 7)),
                lower.eq(looked_up(_LOWER_TABLE, Cat(byte[:_LOWER], upper[:4]), 6)),
                wrong[n].eq(out.rest >= LEGAL_BYTES // 9),
            ]
            with m.If(self.take):
                m.d.sync += [out.first.eq(lower[:2]), out.second.eq(lower[2:4]), out.rest.eq(Cat(lower[4:], upper[4:]))]
        return m
