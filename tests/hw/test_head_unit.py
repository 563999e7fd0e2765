"""terntable.hw.head_unit: the bytes it writes, against the twins of head and top-k."""

from amaranth.hdl import Module
from amaranth.lib import wiring

from terntable.hw.head_unit import HeadUnit
from terntable.hw.int8_array import Int8Array
from terntable.hw.spec.config import HardwareConfig

#: Width of the ternary engine's sums.
SUM_BITS = 16

SETS = {
    "least": HardwareConfig(name="least", rows=1, beat_bytes=8, ports=1, max_hidden=18, max_vocab=300, top_k=1),
    "odd": HardwareConfig(name="odd", rows=3, beat_bytes=16, ports=2, lanes=4, burst_beats=8, max_hidden=70, max_vocab=300,
                          top_k=3),
    "wide": HardwareConfig(name="wide", rows=1, beat_bytes=64, ports=4, burst_beats=16, outputs=8, max_hidden=136, max_vocab=300,
                           top_k=8),
}


class WithArray(wiring.Component):
    """The unit and its multipliers."""

    def __init__(self, config: HardwareConfig):
        self.head = HeadUnit(config=config, sum_bits=SUM_BITS)
        self.array = Int8Array(rows=config.rows, lanes=config.beat_bytes, load_lanes=config.lanes)
        super().__init__({name: member for name, member in self.head.signature.members.items() if name != "array"})

    def elaborate(self, platform):
        m = Module()
        m.submodules.head, m.submodules.array = self.head, self.array
        wiring.connect(m, self.head.array, self.array)
        for name, member in self.signature.members.items():
            inner, outer = getattr(self.head, name), getattr(self, name)
            if member.is_signature:
                pair = (inner, wiring.flipped(outer))
                wiring.connect(m, *pair)
            else:
                m.d.comb += inner.eq(outer) if member.flow == wiring.In else outer.eq(inner)
        return m


def test_matches_twins(simulate):
    simulate({name: WithArray(config) for name, config in SETS.items()}, "tests.hw.head_unit_bench")
