"""Runs in the simulator; see test_kv_fetch.py."""

import cocotb
import numpy as np

from terntable.hw.kv_fetch import KvFetch
from terntable.hw.spec.layout import KvLayout, round_up
from tests.hw.bench.streams import SEED, TRAFFIC, exchange_all, start
from tests.hw.test_kv_fetch import SETS


def layouts(size, port):
    """Caches of single and of paired heads: one plane and several, whole and partly filled."""
    shapes = [(4, 2, size), (1, 1, size + 2), (1, 1, 2), (6, 2, 5 * size), (2, 2, size // 2), (4, 4, 3 * size // 2), (3, 1, 1024)]
    for heads, kv_heads, dim in shapes:
        yield KvLayout(layers=3, heads=heads, kv_heads=kv_heads, head_dim=dim, context=4096, beat_bytes=size, port_bytes=port)


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def asks(dut, name, traffic):
    """Every request of all records, for one slot and for the most; a base that carries into the upper half."""
    await start(dut, name)
    size, port = SETS[name]["beat_bytes"], SETS[name]["port_bytes"]
    rng = np.random.default_rng([SEED, *map(ord, name)])
    base = (int(rng.integers(1, 1 << 20)) << 32) | (0xFFFFF000 if name == "odd" else 64)
    getattr(dut, f"{name}__base").value = base
    commands, expected = [], []
    for layout in layouts(size, port):
        for slots in (1, layout.context, int(rng.integers(2, layout.context))):
            region = layout.offset(int(rng.integers(layout.layers)), int(rng.integers(layout.records)))
            commands.append(slots | layout.head_dim << 16 | layout.pack << 32 | region << 34 | layout.plane_stride << 66)
            scales = round_up(slots * layout.entry, size) // size
            expected.append([base + region + layout.scales_offset | scales << 64]
                            + [base + region + n * layout.plane_stride | slots << 64 for n in range(2 * layout.planes)])
    assert {1, 2} == {layout.pack for layout in layouts(size, port)}
    flat = [request for requests in expected for request in requests]
    result = await exchange_all(dut, name, {"command": commands}, {"request": len(flat)}, traffic=traffic)
    assert result["request"].payloads == flat
    at = 0
    for accepted, requests in zip(result["command"].cycles, expected, strict=True):
        shown = accepted + KvFetch.LATENCY + len(requests) - 1
        for taken in result["request"].cycles[at:at + len(requests)]:
            assert result["request"].valid[accepted + 1:shown + 1].count(1) == 1, "a request too early, or too late"
            accepted, shown = taken, taken + KvFetch.PERIOD
        at += len(requests)
