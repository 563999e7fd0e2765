"""Runs in the simulator; see test_kernels.py."""

import cocotb

from tests.hw.bench.streams import SEED, TRAFFIC, exchange, start
from tests.hw.bench.timing import check_rigid_pipe, check_serial
from tests.hw.test_kernels import UNITS


@cocotb.test()
@cocotb.parametrize(name=list(UNITS), traffic=list(TRAFFIC))
async def matches(dut, name, traffic):
    unit = UNITS[name]
    count, limit = (24, 80) if unit.serial else (150, 20)
    words, expected = unit.vectors(count, SEED)
    await start(dut, name)
    result = await exchange(dut, name, words, traffic=traffic, limit=limit)
    assert result.o.payloads == expected
    (check_serial if unit.serial else check_rigid_pipe)(result, unit.latency)
    if unit.serial and traffic == "flat out":
        assert result.i.cycles == [result.i.cycles[0] + (unit.latency + 1) * n for n in range(count)]
        assert result.o.cycles == [cycle + unit.latency for cycle in result.i.cycles]
