"""Keeps the multipliers' stationary activations a column word ahead of the head's weights."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.shapes import integers
from terntable.hw.spec.numbers import HEAD_ACT_BITS

__all__ = ["HeadFeed"]


class HeadFeed(wiring.Component):
    """Loads column word after column word, again from the first one after the last, and swaps them in.

    ==========  ======================================================
    Latency     the next column word is ready beat_bytes / lanes + 2 cycles after the array takes loads again
    Throughput  `ready` stays high from one column word to the next if its beats take longer than that
    ==========  ======================================================

    Parameters
    ----------
    rows, lanes : token rows, columns of an activation word.
    beat_bytes : columns of a column word.
    words : column words of the longest vector.

    Members
    -------
    start, reading : In(1)
        A pulse forgets everything; loads go on while `reading`.
    last_word : In
        The last column word.
    ready : Out(1)
        The active activations are those of the present column word.
    end_word : In(1)
        The last beat of the present column word is on its way; only while `ready`.
    act_address, act_data : Out, In
        Read port of the activations; data follow the address by a cycle.
    swap, load, load_place, load_data, load_ready : to and from the array.

    """

    def __init__(self, *, rows: int, lanes: int, beat_bytes: int, words: int) -> None:
        if type(words) is not int or words < 1:
            raise ValueError(f"words must be a positive integer, not {words!r}")
        self.places, self.words = beat_bytes // lanes, words
        word = integers(rows=rows, lanes=lanes, width=HEAD_ACT_BITS)
        super().__init__({
            "start": In(1), "reading": In(1), "last_word": In(range(max(2, words))),
            "ready": Out(1), "end_word": In(1), "load_ready": In(1),
            "act_address": Out(range(words * self.places)), "act_data": In(word),
            "swap": Out(1), "load": Out(1), "load_place": Out(range(self.places)), "load_data": Out(word),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        word, place = Signal(range(max(2, self.words))), Signal(range(self.places))
        asked, last_asked, fetched, full = Signal(), Signal(), Signal(), Signal()
        fetch = Signal()
        m.d.comb += [
            fetch.eq(self.reading & self.load_ready & ~fetched),
            self.swap.eq(full & (~self.ready | self.end_word)),
            self.act_address.eq(Cat(place, word)),
            self.load.eq(asked), self.load_data.eq(self.act_data),
        ]
        m.d.sync += [asked.eq(fetch), self.load_place.eq(place), last_asked.eq(place == self.places - 1)]
        with m.If(fetch):
            m.d.sync += place.eq(place + 1)
            with m.If(place == self.places - 1):
                m.d.sync += fetched.eq(1)
        with m.If(asked & last_asked):
            m.d.sync += full.eq(1)
        with m.If(self.swap):
            m.d.sync += [full.eq(0), fetched.eq(0), word.eq(word + 1)]
            with m.If(word == self.last_word):
                m.d.sync += word.eq(0)
        with m.If(self.swap | self.end_word):
            m.d.sync += self.ready.eq(self.swap)
        with m.If(self.start):
            m.d.sync += [asked.eq(0), place.eq(0), word.eq(0), fetched.eq(0), full.eq(0), self.ready.eq(0)]
        return m
