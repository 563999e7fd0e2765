"""Runs in the simulator; see test_axi_burst.py."""

import random

import cocotb
from cocotb.triggers import RisingEdge

from terntable.hw.axi_burst import BurstSplitter
from terntable.models.golden.axi_burst import bursts
from tests.hw.bench.streams import SEED, TRAFFIC, exchange_all, start
from tests.hw.test_axi_burst import SETS


def requests(beat_bytes, burst_beats):
    """(address, beats): corner cases, then random ones."""
    rng, page = random.Random(SEED), 4096 // beat_bytes
    places = [
        (0, 1),
        (0, burst_beats),
        (1, burst_beats),
        (page - 1, 2),
        (page - 1, 1),
        ((1 << 64) // beat_bytes - 3, 3),
        (5, 3 * page),
        *((rng.randrange(1 << 40), rng.choice((1, 2, rng.randrange(1, 5 * burst_beats)))) for _ in range(40)),
    ]
    return [(place * beat_bytes, beats) for place, beats in places]


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def splits(dut, name, traffic):
    await start(dut, name)
    asked = requests(**SETS[name])
    cuts = [bursts(address, beats, **SETS[name]) for address, beats in asked]
    want = [count - 1 << 64 | address for cut in cuts for address, count in cut]
    words = [beats << 64 | address for address, beats in asked]
    result = await exchange_all(dut, name, {"i": words}, {"o": len(want)}, traffic=traffic)
    i, o = result.flows["i"], result.flows["o"]
    assert o.payloads == want
    # A burst comes the cycle after the one before it is taken; a request is accepted once the last one has come.
    left, shown, held = 0, False, iter(cuts)
    for now, (valid, ready) in enumerate(zip(i.valid, i.ready, strict=True)):
        assert o.valid[now] == shown, f"cycle {now}"
        assert ready == (left == 0), f"cycle {now}"
        if not shown or o.ready[now]:
            shown, left = left > 0, max(0, left - 1)
        if valid and ready:
            left = len(next(held))
    if traffic == "flat out":
        gaps = [0, *(int(first) for cut in cuts for first in (False,) * (len(cut) - 1) + (True,))][:len(want)]
        assert o.cycles == [BurstSplitter.LATENCY + n + sum(gaps[:n + 1]) for n in range(len(want))]


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def drops(dut, name):
    """A cycle of `drop` ends a request, and one that was offered meanwhile was not accepted."""
    await start(dut, name)
    size, edge = SETS[name]["beat_bytes"], RisingEdge(getattr(dut, f"{name}_clk"))
    await exchange_all(dut, name, {"i": [1000 << 64]}, {"o": 0}, traffic="flat out", linger=0)
    getattr(dut, f"{name}__drop").value = 1
    getattr(dut, f"{name}__i__valid").value = 1
    await edge
    getattr(dut, f"{name}__i__valid").value = 0
    getattr(dut, f"{name}__drop").value = 0
    result = await exchange_all(dut, name, {"i": [1 << 64 | 5 * size]}, {"o": 1}, traffic="flat out")
    assert result["o"].payloads == [5 * size]
