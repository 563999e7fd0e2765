"""Runs in the simulator; see test_bench.py."""

import os

import cocotb
import pytest
from cocotb.triggers import ReadOnly

from tests.hw.bench.streams import SEED, TRAFFIC, exchange, exchange_all, start
from tests.hw.bench.timing import check_rigid_pipe
from tests.hw.test_bench import LATENCY

WORDS = [0, 0xFFFF, *((k * 40503 + SEED) & 0xFFFF for k in range(150))]


async def matches(dut, name, traffic):
    await start(dut, name)
    result = await exchange(dut, name, WORDS, traffic=traffic)
    assert result.o.payloads == [2 * word for word in WORDS], "wrong data"
    check_rigid_pipe(result, LATENCY)


@cocotb.test()
@cocotb.parametrize(traffic=list(TRAFFIC))
async def right(dut, traffic):
    await matches(dut, "right", traffic)
    assert os.environ["BENCH_EXPECT"] == "ok", "asked to fail"


@cocotb.test()
async def two_in_a_row(dut):
    """One simulator runs many exchanges; static ports go back to 0 at reset."""
    for _ in range(2):
        await matches(dut, "right", "stalls")
        dut.right__extra.value = 30
        result = await exchange_all(dut, "right", {"i": [7]}, {"o": 1}, traffic="flat out")
        assert result["o"].payloads == [14]
        assert int(dut.right__sum.value) == 31
    await start(dut, "right")
    await ReadOnly()
    assert int(dut.right__sum.value) == 1


@cocotb.test()
@cocotb.parametrize(case=[("late", "flat out", "o.valid"), ("late", "stalls", "i.ready is 0 in cycle"),
                          ("wrong", "bubbles", "wrong data"), ("restless", "stalls", "changed while stalled"),
                          ("repeats", "flat out", "more than"), ("shy", "shy sink", "i.ready|only i"),
                          ("shy", "stalls", "ready is 0 in cycle")])
async def wrong_is_found(dut, case):
    name, traffic, message = case
    with pytest.raises(AssertionError, match=message):
        await matches(dut, name, traffic)
