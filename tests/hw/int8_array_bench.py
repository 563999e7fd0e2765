"""Runs in the simulator; see test_int8_array.py."""

import cocotb
import numpy as np

from terntable.models.golden.int8_array import int8_array
from tests.hw.bench.streams import SEED, TRAFFIC, exchange, pack_array, start
from tests.hw.bench.timing import check_rigid_pipe
from tests.hw.test_int8_array import SETS, units

UNITS = units()
COUNT = 150


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def matches(dut, name, traffic):
    await start(dut, name)
    port, array = UNITS[name].array.port, UNITS[name].array
    rng = np.random.default_rng([SEED, *map(ord, name)])
    limit = 1 << (port.act_bits - 1)
    weight = rng.integers(-128, 128, (COUNT, port.lanes))
    act = rng.integers(-limit, limit, (COUNT, port.rows, port.lanes))
    corners = [(-128, -limit), (-128, limit - 1), (127, -limit), (127, limit - 1), (0, -1), (-1, 1)]
    for n, (w, a) in enumerate(corners):
        weight[n], act[n] = w, a
    words = [pack_array(w, 8) | pack_array(a, port.act_bits) << (8 * port.lanes)
             for w, a in zip(weight, act, strict=True)]
    result = await exchange(dut, name, words, traffic=traffic)
    check_rigid_pipe(result, array.LATENCY)
    dot, product = int8_array(weight, act)
    wanted = [pack_array(s, port.dot_bits) | pack_array(p, port.product_bits) << (port.dot_bits * port.rows)
              for s, p in zip(dot, product, strict=True)]
    assert result.o.payloads == wanted
