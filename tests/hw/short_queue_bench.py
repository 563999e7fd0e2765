"""Runs in the simulator; see test_short_queue.py."""

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tests.hw.bench.queues import check_queue
from tests.hw.bench.streams import TRAFFIC, start
from tests.hw.test_short_queue import SETS


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def hands_on(dut, name, traffic):
    """Ready while there was room after the last clock edge, valid while there was an item."""
    await start(dut, name)
    width, depth = SETS[name]
    await check_queue(dut, name, width=width, places=depth, traffic=traffic)


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def forgets(dut, name):
    """A queue that was full and is cleared takes as many items as before, and gives none of the old ones."""
    await start(dut, name)
    edge, depth = RisingEdge(getattr(dut, f"{name}_clk")), SETS[name][1]
    pins = {port: getattr(dut, f"{name}__{port}")
            for port in ("i__valid", "i__ready", "i__payload", "o__valid", "o__ready", "o__payload", "clear")}
    pins["o__ready"].value = 0
    for item in (1, 0):
        pins["i__valid"].value, pins["i__payload"].value, pins["clear"].value = 1, item, 0
        for place in range(depth):
            await ReadOnly()
            assert int(pins["i__ready"].value) and int(pins["o__valid"].value) == (place > 0)
            await edge
        await ReadOnly()
        assert not int(pins["i__ready"].value) and int(pins["o__payload"].value) == item
        await edge
        pins["i__valid"].value, pins["clear"].value = 0, 1
        await edge
    pins["clear"].value = 0
    await ReadOnly()
    assert int(pins["i__ready"].value) and not int(pins["o__valid"].value)
