"""Keeps the scales of the keys and values that attention reads.

The arithmetic around it is defined by the twin of attention, :func:`terntable.models.golden.attention.attention`.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from terntable.hw.attention_sizes import AttentionSizes
from terntable.hw.kernel import register

__all__ = ["AttentionScales"]

#: Bytes of a head's scales, key's then value's.
PAIR = 8


class AttentionScales(wiring.Component):
    """Beats of scale entries in, the key's or the value's scale of a slot out.

    ============  =====================================================
    Latency       ``LATENCY`` cycles from ``key_slot`` to ``key_scale``, from ``value_slot`` to ``value_scale``
    Throughput    a beat per cycle in, a scale of each kind per cycle out
    Stall         none
    ============  =====================================================

    Parameters
    ----------
    sizes : AttentionSizes

    Members
    -------
    paired : In(1)
        Entries hold two heads; stays as it is.
    write, beat, data
        A beat of entries, counted from 0.
    key_slot, key_second, value_slot, value_second : In
        Slot, and whether its second head is meant.
    key_scale, value_scale : Out(32)

    """

    LATENCY = 2

    def __init__(self, *, sizes: AttentionSizes):
        self.sizes = sizes
        super().__init__({
            "paired": In(1),
            "write": In(1), "beat": In(range(sizes.scale_beats)), "data": In(8 * sizes.beat_bytes),
            "key_slot": In(sizes.slot), "key_second": In(1), "key_scale": Out(32),
            "value_slot": In(sizes.slot), "value_second": In(1), "value_scale": Out(32),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        sizes = self.sizes
        # Pairs of an entry, by how many of them are used; pairs of a beat.
        single, double = (exact_log2(max(PAIR * pack, sizes.port_bytes) // PAIR) for pack in (1, 2))
        pairs = sizes.beat_bytes // PAIR
        place_bits = exact_log2(pairs)
        for which, slot, second, scale in ((0, self.key_slot, self.key_second, self.key_scale),
                                           (1, self.value_slot, self.value_second, self.value_scale)):
            name = ("key", "value")[which]
            memory = Memory(shape=32 * pairs, depth=sizes.scale_beats, init=[])
            m.submodules[f"{name}_scales"] = memory
            write, read = memory.write_port(), memory.read_port()
            pair = Signal(range(sizes.scale_beats * pairs), name=f"{name}_pair")
            m.d.comb += [
                write.en.eq(self.write), write.addr.eq(self.beat),
                write.data.eq(Cat(self.data.word_select(2 * n + which, 32) for n in range(pairs))),
                pair.eq(Mux(self.paired, slot << double, slot << single) | second),
                read.addr.eq(pair >> place_bits),
            ]
            if pairs > 1:
                place = register(m, pair[:place_bits], name=f"{name}_place")
                m.d.comb += scale.eq(register(m, read.data.word_select(place, 32), name=f"{name}_scale_held"))
            else:
                m.d.comb += scale.eq(register(m, read.data, name=f"{name}_scale_held"))
        return m
