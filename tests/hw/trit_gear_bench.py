"""Runs in the simulator; see test_trit_gear.py."""

import random

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from terntable.hw.trit_gear import TAKING, TritGear
from terntable.models.golden.trit_gear import lookups
from tests.hw.bench.streams import SEED, TRAFFIC, pack_array, start
from tests.hw.test_trit_gear import SETS, vectors


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def matches(dut, name, traffic):
    """A cell's lookups stand `LATENCY` cycles after it, whatever comes between two cells."""
    await start(dut, name)
    words = vectors(SETS[name]["word_bytes"], SEED)
    address, negate = lookups(words)
    expected = [pack_array(both, 5) for both in address.astype(int) | negate.astype(int) << 4]
    offers = TRAFFIC[traffic][0](random.Random(SEED))
    rubbish = np.random.default_rng(SEED)
    pins = {port: getattr(dut, f"{name}__{port}") for port in ("phase", "take", "word", "o", "illegal")}
    at, word, came = 0, 0, []    # came: the cell of each cycle, or None
    while at < len(expected) or any(cell is not None for cell in came[-TritGear.LATENCY:]):
        cell = at < len(expected) and bool(next(offers))
        taking = cell and at % 5 in TAKING
        pins["phase"].value, pins["take"].value = at % 5, int(taking)
        pins["word"].value = pack_array(words[word] if taking else rubbish.integers(0, 256, words.shape[1], np.uint8), 8)
        await ReadOnly()
        before = came[-TritGear.LATENCY] if len(came) >= TritGear.LATENCY else None
        if before is not None:
            assert int(pins["o"].value) == expected[before], f"cell {before}"
        assert int(pins["illegal"].value) == 0
        came.append(at if cell else None)
        at, word = at + cell, word + taking
        await RisingEdge(getattr(dut, f"{name}_clk"))
    assert (at, word) == (len(expected), len(words))


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def illegal_bytes_are_told(dut, name):
    """With the cell's lookups, and only when the word is taken."""
    await start(dut, name)
    pins = {port: getattr(dut, f"{name}__{port}") for port in ("phase", "take", "word", "illegal")}
    edge, count = RisingEdge(getattr(dut, f"{name}_clk")), SETS[name]["word_bytes"]
    for place in range(count):
        for byte, take in ((242, 1), (243, 1), (255, 1), (255, 0)):
            word = np.zeros(count, np.uint8)
            word[place] = byte
            pins["take"].value, pins["word"].value = take, pack_array(word, 8)
            told = []
            for _ in range(TritGear.LATENCY + 2):
                await ReadOnly()
                told.append(int(pins["illegal"].value))
                await edge
                pins["take"].value = 0
            expected = [0] * len(told)
            expected[TritGear.LATENCY] = int(byte > 242 and take)
            assert told == expected, (place, byte, take)
