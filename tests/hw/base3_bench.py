"""Runs in the simulator; see test_base3.py."""

import random

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from terntable.hw.base3 import Base3Split
from terntable.models.golden.base3 import split_bytes
from tests.hw.bench.streams import SEED, TRAFFIC, pack_array, start
from tests.hw.test_base3 import SETS, vectors


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def matches(dut, name, traffic):
    """The parts of a word stand from the cycle after it was taken until the next one is; what is not taken does not matter."""
    await start(dut, name)
    words = vectors(SETS[name]["word_bytes"], SEED)
    first, second, rest, illegal = split_bytes(words)
    expected = [pack_array(parts, 9) for parts in first + (second.astype(int) << 2) + (rest.astype(int) << 4)]
    offers = TRAFFIC[traffic][0](random.Random(SEED))
    rubbish = np.random.default_rng(SEED)
    take, word, o, wrong = (getattr(dut, f"{name}__{port}") for port in ("take", "word", "o", "illegal"))
    assert Base3Split.LATENCY == 1
    shown, at, taken = None, 0, []    # taken: the word of each cycle, or None
    while at < len(words) or any(n is not None for n in taken[-4:]):
        offer = at < len(words) and bool(next(offers))
        take.value = int(offer)
        word.value = pack_array(words[at] if offer else rubbish.integers(0, 256, words.shape[1], np.uint8), 8)
        await ReadOnly()
        if shown is not None:
            assert int(o.value) == expected[shown], f"word {shown}"
        before = taken[-3] if len(taken) > 2 else None
        assert int(wrong.value) == (before is not None and illegal[before]), f"illegal in cycle {len(taken)}"
        taken.append(at if offer else None)
        shown, at = (at, at + 1) if offer else (shown, at)
        await RisingEdge(getattr(dut, f"{name}_clk"))
    assert shown == len(words) - 1
