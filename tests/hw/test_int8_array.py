"""terntable.hw.int8_array against its twin, cycle by cycle, and the twin against plain integers."""

import numpy as np
import pytest
from amaranth.hdl import Fragment, Module
from amaranth.lib import wiring

from terntable.hw import dsp_chain
from terntable.hw.dsp_chain import XILINX, DspChain
from terntable.hw.int8_array import ArrayPort, Int8Array
from terntable.models.golden.int8_array import accumulators, dots
from tests.hw.dsp48e2 import Dsp48e2

SETS = {"least": {"rows": 1, "lanes": 8, "load_lanes": 2}, "odd": {"rows": 3, "lanes": 16, "load_lanes": 2},
        "single": {"rows": 2, "lanes": 8, "load_lanes": 1}, "four": {"rows": 2, "lanes": 16, "load_lanes": 4, "acc_bits": 40},
        "wide": {"rows": 1, "lanes": 64, "load_lanes": 2}, "primitives": {"rows": 2, "lanes": 16, "load_lanes": 2}}


class Primitives(Int8Array):
    """The array as it is for a Xilinx part."""

    def elaborate(self, platform) -> Fragment:
        return Fragment.get(super().elaborate(XILINX), XILINX)


def test_matches_twin(simulate, monkeypatch):
    monkeypatch.setattr(dsp_chain, "Instance", Dsp48e2)
    simulate({name: (Primitives if name == "primitives" else Int8Array)(**sizes) for name, sizes in SETS.items()},
             "tests.hw.int8_array_bench")


def test_twin_is_plain_arithmetic():
    rng = np.random.default_rng(1)
    weight, act = rng.integers(-128, 128, (4, 6)), rng.integers(-2**15, 2**15, (4, 3, 6))
    direct = rng.integers(-2**16, 2**16, (4, 3, 2))
    low, high = dots(weight, act)
    sums = accumulators(weight, direct)
    for row in range(3):
        for n in range(4):
            terms = [int(weight[n, lane]) * int(act[n, row, lane]) for lane in range(6)]
            assert (low[n, row], high[n, row]) == (sum(terms[:3]), sum(terms[3:]))
        for lane in range(6):
            assert sums[row, lane] == sum(int(weight[n, lane]) * int(direct[n, row, lane // 3]) for n in range(4))


def test_port_fits():
    m = Module()
    array, port = Int8Array(rows=3, lanes=8, load_lanes=2), ArrayPort(rows=3, lanes=8, load_lanes=2)
    wiring.connect(m, port.flip().create(), wiring.flipped(array))


@pytest.mark.parametrize(("sizes", "latency", "gap"), [
    ({"rows": 1, "lanes": 8, "load_lanes": 2}, 6, 2), ({"rows": 1, "lanes": 64, "load_lanes": 2}, 13, 8)])
def test_latencies(sizes, latency, gap):
    port = ArrayPort(**sizes)
    assert (port.dot_latency, port.unload_gap, port.unload_latency) == (latency, gap, 4)


@pytest.mark.parametrize(("change", "message"), [
    ({"rows": 0}, "rows must be a positive integer, not 0"),
    ({"lanes": 12}, "lanes must be a power of two of at least 4 x load_lanes = 8, not 12"),
    ({"lanes": 4}, "lanes must be a power of two of at least 4 x load_lanes = 8, not 4"),
    ({"load_lanes": 3}, "load_lanes must be a power of two, not 3"),
    ({"acc_bits": 24}, r"acc_bits must be 25\.\.48, not 24"),
    ({"acc_bits": 49}, r"acc_bits must be 25\.\.48, not 49")])
def test_sizes_checked(change, message):
    with pytest.raises(ValueError, match=message):
        ArrayPort(**{"rows": 1, "lanes": 8, "load_lanes": 2, **change})


@pytest.mark.parametrize(("change", "message"), [
    ({"length": 0}, "length must be a positive integer, not 0"), ({"acc_bits": 49}, r"acc_bits must be 25\.\.48, not 49")])
def test_chain_sizes_checked(change, message):
    with pytest.raises(ValueError, match=message):
        DspChain(**{"length": 2, "acc_bits": 36, **change})
