"""terntable.hw.column_memory and half_to_float: the path of columns into memories."""

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.column_memory import ColumnMemory
from terntable.hw.half_to_float import HalfToFloat
from terntable.hw.spec.numbers import INVALID
from terntable.models.golden.float_bits import to_bits
from terntable.models.golden.half_to_float import half_to_float

SETS = {
    "least": {"rows": 1, "lanes": 1, "width": 1, "depth": 1},
    "odd": {"rows": 3, "lanes": 2, "width": 8, "depth": 5},
    "wide": {"rows": 8, "lanes": 4, "width": 32, "depth": 64},
}

#: The same in one memory for all rows.
WHOLE = {f"whole_{name}": {**sizes, "by_row": False, "style": style}
         for (name, sizes), style in zip(SETS.items(), ("auto", "block", "ultra"), strict=True)}

#: Converters side by side, so that all 65536 numbers take few steps.
CONVERTERS = 32


class Converters(wiring.Component):
    """`CONVERTERS` conversions at once."""

    def __init__(self):
        super().__init__(
            {"a": In(data.ArrayLayout(16, CONVERTERS)), "y": Out(data.ArrayLayout(32, CONVERTERS))}
        )

    def elaborate(self, platform):
        m = Module()
        for index in range(CONVERTERS):
            m.submodules[f"half{index}"] = half = HalfToFloat()
            m.d.comb += [half.a.eq(self.a[index]), self.y[index].eq(half.y)]
        return m


def units():
    memories = {f"memory_{name}": ColumnMemory(**sizes) for name, sizes in (SETS | WHOLE).items()}
    return {**memories, "half": Converters()}


def test_matches_model(simulate):
    simulate(units(), "tests.hw.buffers_bench")


@pytest.mark.parametrize("name", ["rows", "lanes", "width", "depth"])
def test_memory_sizes_checked(name):
    with pytest.raises(ValueError, match=f"{name} must be a positive integer, not 0"):
        ColumnMemory(**{**SETS["odd"], name: 0})


def test_memory_style_checked():
    with pytest.raises(ValueError, match="style must be one of auto, distributed, block, ultra, not 'fast'"):
        ColumnMemory(**SETS["odd"], style="fast")


@pytest.mark.parametrize("by_row", [True, False])
def test_memory_style_reaches_the_tools(by_row):
    """Every memory carries the attribute, and `auto` none."""
    text = rtlil.convert(ColumnMemory(**SETS["odd"], by_row=by_row, style="ultra"))
    assert text.count('attribute \\ram_style "ultra"') == (SETS["odd"]["rows"] if by_row else 1)
    assert "ram_style" not in rtlil.convert(ColumnMemory(**SETS["odd"], by_row=by_row))


def test_twin_against_the_format():
    """Sign, exponent and fraction taken apart by hand."""
    patterns = np.arange(1 << 16, dtype=np.uint16)
    got = to_bits(half_to_float(patterns.view(np.float16))).tolist()
    for pattern in (*range(0, 1 << 16, 37), 0x8000, 1, 0x03FF, 0x0400, 0x7BFF, 0x7C00, 0x7E01, 0xFC00):
        sign, exponent, fraction = pattern >> 15, pattern >> 10 & 31, pattern & 1023
        if exponent == 31:
            assert got[pattern] == INVALID
            continue
        value = (-1) ** sign * (
            (1024 + fraction) * 2.0 ** (exponent - 25) if exponent else fraction * 2.0**-24
        )
        assert float(np.uint32(got[pattern]).view(np.float32)) == value and got[pattern] >> 31 == sign
