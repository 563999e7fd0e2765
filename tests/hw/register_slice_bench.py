"""Runs in the simulator; see test_register_slice.py."""

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tests.hw.bench.streams import SEED, TRAFFIC, exchange, start
from tests.hw.bench.timing import check_flow
from tests.hw.test_register_slice import SETS


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def hands_on(dut, name, traffic):
    """Two places: ready while one of them was free after the last clock edge, valid while one of them is used."""
    await start(dut, name)
    rng = random.Random(f"{SEED}{name}")
    words = [rng.getrandbits(SETS[name]) for _ in range(200)]
    result = await exchange(dut, name, words, traffic=traffic)
    assert result.o.payloads == words
    entered, left = set(result.i.cycles), set(result.o.cycles)
    level, ready, valid = 0, [], []
    for now in range(len(result.i.ready)):
        ready.append(int(level < 2))
        valid.append(int(level > 0))
        level += (now in entered) - (now in left)
    check_flow("i.ready", result.i.ready, ready)
    check_flow("o.valid", result.o.valid, valid)
    if traffic == "flat out":
        assert result.i.cycles == list(range(len(words)))


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def forgets(dut, name):
    """`clear` empties both places."""
    await start(dut, name)
    edge = RisingEdge(getattr(dut, f"{name}_clk"))
    pins = {port: getattr(dut, f"{name}__{port}") for port in ("i__valid", "i__ready", "o__valid", "o__ready", "clear")}
    pins["o__ready"].value, pins["i__valid"].value = 0, 1
    for _ in range(3):
        await edge
    await ReadOnly()
    assert not int(pins["i__ready"].value) and int(pins["o__valid"].value)
    await edge
    pins["i__valid"].value, pins["clear"].value = 0, 1
    await edge
    pins["clear"].value = 0
    await ReadOnly()
    assert int(pins["i__ready"].value) and not int(pins["o__valid"].value)
