"""terntable.hw.int8_array against its twin, cycle by cycle, and the twin against plain integers."""

import numpy as np
import pytest
from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.int8_array import ArrayPort, Int8Array
from terntable.models.golden.int8_array import int8_array

SETS = {"least": {"rows": 1, "lanes": 2, "act_bits": 8}, "odd": {"rows": 3, "lanes": 16, "act_bits": 17},
        "wide": {"rows": 2, "lanes": 8, "act_bits": 17}}


class ArrayStream(wiring.Component):
    """An array as a rigid pipe, whose products wait for their sums."""

    def __init__(self, **sizes: int):
        self.array = Int8Array(**sizes)
        members = self.array.signature.members
        self.inputs = data.StructLayout({name: members[name].shape for name in ("weight", "act")})
        self.outputs = data.StructLayout({name: members[name].shape for name in ("dot", "product")})
        super().__init__({"i": In(stream.Signature(self.inputs)), "o": Out(stream.Signature(self.outputs))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.array = array = self.array
        valid, product, en = self.i.valid, array.product, array.en
        m.d.comb += [en.eq(~self.o.valid | self.o.ready), self.i.ready.eq(en)]
        m.d.comb += [array.weight.eq(self.i.p.weight), array.act.eq(self.i.p.act)]
        with m.If(en):
            for stage in range(array.LATENCY):
                held = Signal(name=f"valid_{stage}")
                m.d.sync += held.eq(valid)
                valid = held
            for stage in range(array.LATENCY - array.PRODUCT_LATENCY):
                late = Signal.like(product, name=f"product_{stage}")
                m.d.sync += late.eq(product)
                product = late
        m.d.comb += [self.o.valid.eq(valid), self.o.p.dot.eq(array.dot), self.o.p.product.eq(product)]
        return m


def units() -> dict[str, ArrayStream]:
    return {name: ArrayStream(**sizes) for name, sizes in SETS.items()}


def test_matches_twin(simulate):
    simulate(units(), "tests.hw.int8_array_bench")


def test_twin_is_plain_arithmetic():
    rng = np.random.default_rng(1)
    weight, act = rng.integers(-128, 128, (4, 6)), rng.integers(-2**16, 2**16, (4, 3, 6))
    dot, product = int8_array(weight, act)
    for n in range(4):
        for row in range(3):
            terms = [int(weight[n, lane]) * int(act[n, row, lane]) for lane in range(6)]
            assert product[n, row].tolist() == terms
            assert dot[n, row] == sum(terms)


def test_port_fits():
    m = Module()
    array, port = Int8Array(rows=3, lanes=8), ArrayPort(rows=3, lanes=8)
    wiring.connect(m, port.flip().create(), wiring.flipped(array))
    assert (port.dot_latency, port.product_latency) == (array.LATENCY, array.PRODUCT_LATENCY)


@pytest.mark.parametrize(("sizes", "message"), [
    ({"rows": 0, "lanes": 8}, "rows must be at least 1, not 0"),
    ({"rows": 1, "lanes": 6}, "lanes must be a power of two of at least 2, not 6"),
    ({"rows": 1, "lanes": 1}, "lanes must be a power of two of at least 2, not 1"),
    ({"rows": 1, "lanes": 8, "act_bits": 19}, "act_bits must be 8..18, .*, not 19"),
])
def test_sizes_checked(sizes, message):
    with pytest.raises(ValueError, match=message):
        Int8Array(**sizes)
