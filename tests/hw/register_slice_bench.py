"""Runs in the simulator; see test_register_slice.py."""

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tests.hw.bench.queues import check_queue
from tests.hw.bench.streams import TRAFFIC, start
from tests.hw.test_register_slice import SETS


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def hands_on(dut, name, traffic):
    """Two places: ready while one of them was free after the last clock edge, valid while one of them is used."""
    await start(dut, name)
    await check_queue(dut, name, width=SETS[name], places=2, traffic=traffic)


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
