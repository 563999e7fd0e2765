"""Runs in the simulator; see test_buffers.py."""

import random

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge, Timer

from terntable.hw.column_memory import ColumnMemory
from terntable.models.golden.float_bits import to_bits
from terntable.models.golden.half_to_float import half_to_float
from tests.hw.bench.streams import SEED, TRAFFIC, pack_array, start, unpack_array
from tests.hw.test_buffers import CONVERTERS, SETS, WHOLE


@cocotb.test()
@cocotb.parametrize(name=[*SETS, *WHOLE], traffic=list(TRAFFIC))
async def memory_holds(dut, name, traffic):
    """Any rows of any word are written while any word is read, the written one included."""
    sizes, name = (SETS | WHOLE)[name], f"memory_{name}"
    by_row = sizes.get("by_row", True)
    await start(dut, name)
    rng, offers = np.random.default_rng([SEED, *map(ord, name)]), TRAFFIC[traffic][0](random.Random(SEED))
    rows, lanes, width, depth = (sizes[key] for key in ("rows", "lanes", "width", "depth"))
    model, known = np.zeros((depth, lanes, rows), np.uint64), np.zeros(depth, bool)
    pins = {
        key: getattr(dut, f"{name}__{key}")
        for key in ("read_enable", "read_address", "read_data", "write_rows", "write_address", "write_data")
    }
    shown, compared, edge = None, 0, RisingEdge(getattr(dut, f"{name}_clk"))
    for now in range(depth + 120):
        # The first round fills the memory; from then on rows are written alone.
        filling = now < depth
        target = now if filling else int(rng.integers(depth))
        written = (1 << rows) - 1 if filling else int(rng.integers(1 << rows)) if next(offers) else 0
        block = rng.integers(0, 1 << width, (lanes, rows)).astype(np.uint64)
        enable, source = next(offers), target if now % 3 == 0 else int(rng.integers(depth))
        for key, value in (
            ("read_enable", enable),
            ("read_address", source),
            ("write_rows", written),
            ("write_address", target),
            ("write_data", pack_array(block, width)),
        ):
            pins[key].value = value
        await ReadOnly()
        if shown is not None:
            assert int(pins["read_data"].value) == shown, f"cycle {now}"
            compared += 1
        await edge
        if enable:
            shown = pack_array(model[source], width) if known[source] else None
        chosen = [row for row in range(rows) if written >> row & 1 or written and not by_row]
        model[target][:, chosen] = block[:, chosen]
        known[target] |= filling
    assert compared > 60 and ColumnMemory.LATENCY == 1


@cocotb.test()
async def half_of_everything(dut):
    """All 65536 patterns."""
    patterns = np.arange(1 << 16, dtype=np.uint16)
    expected = to_bits(half_to_float(patterns.view(np.float16)))
    for first in range(0, 1 << 16, CONVERTERS):
        dut.half__a.value = pack_array(patterns[first : first + CONVERTERS], 16)
        await ReadOnly()
        got = unpack_array(int(dut.half__y.value), 32, CONVERTERS)
        np.testing.assert_array_equal(got, expected[first : first + CONVERTERS])
        await Timer(1, "ns")
