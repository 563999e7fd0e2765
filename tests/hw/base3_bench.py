"""Runs in the simulator; see test_base3.py."""

import cocotb

from terntable.hw.base3 import Base3Decode
from terntable.models.golden.base3 import split_bytes
from tests.hw.bench.streams import SEED, TRAFFIC, exchange, pack_array, start
from tests.hw.bench.timing import check_rigid_pipe
from tests.hw.test_base3 import SETS, vectors


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def matches(dut, name, traffic):
    await start(dut, name)
    count = SETS[name]["beat_bytes"]
    beats = vectors(count, SEED)
    low, high, illegal = split_bytes(beats)
    expected = [pack_array(a, 5) | pack_array(b, 4) << 5 * count | int(c) << 9 * count
                for a, b, c in zip(low, high, illegal, strict=True)]
    result = await exchange(dut, name, [pack_array(beat, 8) for beat in beats], traffic=traffic)
    assert result.o.payloads == expected
    check_rigid_pipe(result, Base3Decode.LATENCY)
