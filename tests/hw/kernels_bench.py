"""Runs in the simulator; see test_kernels.py."""

import cocotb

from tests.hw.bench.streams import SEED, TRAFFIC, exchange, start
from tests.hw.bench.timing import check_rigid_pipe
from tests.hw.test_kernels import UNITS


@cocotb.test()
@cocotb.parametrize(name=list(UNITS), traffic=list(TRAFFIC))
async def matches(dut, name, traffic):
    unit = UNITS[name]
    words, expected = unit.vectors(150, SEED)
    await start(dut, name)
    result = await exchange(dut, name, words, traffic=traffic)
    assert result.o.payloads == expected
    check_rigid_pipe(result, unit.latency)
