"""Runs in the simulator; see test_regroup.py."""

import random

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from tests.hw.bench.streams import SEED, TRAFFIC, pack_array, start
from tests.hw.test_regroup import SETS

CYCLES = 250


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def matches(dut, name, traffic):
    """Vectors of any length are written into whole words while any word is read."""
    await start(dut, name)
    sizes, rng = SETS[name], np.random.default_rng([SEED, *map(ord, name)])
    rows, lanes, beat, width = (sizes[key] for key in ("rows", "lanes", "beat", "width"))
    columns = -(-sizes["depth"] // beat) * beat
    half = 1 << (width - 1)
    model, offers = np.zeros((rows, columns), np.int64), TRAFFIC[traffic][0](random.Random(SEED))
    port = {key: getattr(dut, f"{name}__{key}") for key in
            ("write_valid", "write_column", "write_data", "read_word", "read_data")}
    known = np.zeros(columns // beat, bool)    # reset leaves the memory as it was
    column = left = compared = 0
    expected = None
    for now in range(CYCLES):
        if not left:
            column = beat * int(rng.integers(columns // beat))
            left = lanes * int(rng.integers(1, (columns - column) // lanes + 1))
        valid, word = next(offers), int(rng.integers(columns // beat))
        block = rng.integers(-half, half, (lanes, rows)) if now else np.full((lanes, rows), -half)
        port["write_valid"].value = valid
        port["write_column"].value = column
        port["write_data"].value = pack_array(block, width)
        port["read_word"].value = word
        await ReadOnly()
        if expected is not None:
            assert int(port["read_data"].value) == expected, f"cycle {now}"
            compared += 1
        # Reading the word that is being written is left open.
        settled = known[word] and not (valid and column // beat == word)
        expected = pack_array(model[:, word * beat:(word + 1) * beat], width) if settled else None
        await RisingEdge(getattr(dut, f"{name}_clk"))
        if valid:
            if column % beat == 0:
                model[:, column:column + beat] = 0
                known[column // beat] = True
            model[:, column:column + lanes] = block.T
            column, left = column + lanes, left - lanes
    assert compared > CYCLES // 3
