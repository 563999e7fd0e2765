"""Runs in the simulator; see test_attention.py."""

import cocotb
import numpy as np

from terntable.hw.float_to_fixed import FloatToFixed
from terntable.models.golden import float32
from terntable.models.golden.float_to_fixed import float_to_fixed
from tests.hw.bench.streams import SEED, TRAFFIC, exchange, start
from tests.hw.bench.timing import check_rigid_pipe

#: Zeros, subnormals, halves to round, the clamp and around it, INVALID and other patterns of exponent 255.
CORNERS = [0.0, -0.0, 1e-40, -1.0, 2**-17, 2**-17 * 1.0000001, 2**-18, 1.5 * 2**-16, 2.5 * 2**-16, 31.99998,
           31.999992, 31.9999847, 32.0, 3e38, -3e38, np.nan, np.inf, -np.inf]


@cocotb.test()
@cocotb.parametrize(traffic=list(TRAFFIC))
async def matches(dut, traffic):
    await start(dut, "fixed")
    rng = np.random.default_rng(SEED)
    a = np.array(CORNERS, np.float32)
    a = np.concatenate([a, (2 ** rng.uniform(-20, 6, 100)).astype(np.float32),
                        ((rng.integers(0, 2**21, 60) + 0.5) / 65536).astype(np.float32)])
    result = await exchange(dut, "fixed", float32.to_bits(a).tolist(), traffic=traffic)
    check_rigid_pipe(result, FloatToFixed.LATENCY)
    assert result.o.payloads == float_to_fixed(a).tolist()
