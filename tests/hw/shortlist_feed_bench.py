"""Runs in the simulator; see test_shortlist_feed.py."""

import cocotb
import numpy as np

from terntable.hw.shortlist_feed import ShortlistFeed
from tests.hw.bench.streams import SEED, TRAFFIC, exchange_all, pack_array, start, unpack_array
from tests.hw.port_models import Recorder, beats_of, pulse
from tests.hw.test_shortlist_feed import SETS


async def run(dut, name, vocab, traffic, rng, sums_first=True):
    """One shortlist; what it asks for, and each vocabulary row's sums with the scale that went before."""
    sizes = SETS[name]
    rows, outputs, size, bits = (sizes[key] for key in ("rows", "outputs", "beat_bytes", "bits"))
    count = -(-vocab // outputs) * outputs
    low = 1 << (sizes["sum_bits"] - 1)
    sums = rng.integers(-low, low, (count, rows))
    sums[0], sums[-1] = -low, low - 1
    scales = rng.integers(0, 1 << 32, count).astype("<u4")
    base = int(rng.integers(1 << 32)) << 20
    for port, value in (("vocab", vocab), ("base", base)):
        getattr(dut, f"{name}__{port}").value = value
    await pulse(dut, name, "start")
    recorder = Recorder(dut, name, ["scale_valid", "scale", "o__valid", "o__ready"])
    beats = beats_of(scales.tobytes(), size)
    sources = {"i": beats, "partial": [pack_array(word, sizes["sum_bits"]) for word in sums.reshape(-1, outputs, rows)]}
    result = await exchange_all(dut, name, sources, {"request": 1, "o": count}, traffic=traffic, linger=6, limit=60)
    recorder.stop()
    assert result["request"].payloads == [base | len(beats) << 64]
    got = np.array([unpack_array(word, bits, rows, signed=True) for word in result.o.payloads])
    assert (got == sums).all()
    pushed = recorder.cycles("scale_valid")
    assert [recorder["scale"][now] for now in pushed] == scales.tolist()
    taken = result.o.cycles
    assert all(push < take for push, take in zip(pushed, taken, strict=True)), "sums before their scale"
    waiting = [sum(push <= now for push in pushed) - sum(take < now for take in taken) for now in pushed]
    assert max(waiting) <= sizes["depth"], "more scales than their queue holds"
    if traffic == "flat out":
        assert taken[-1] - taken[0] == count - 1 + count // outputs - 1 or sizes["depth"] < 8
        assert taken[0] - result["partial"].cycles[0] >= ShortlistFeed.LATENCY - outputs


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def feeds(dut, name, traffic):
    """A word of sums and several, whole and partly used beats of scales, one after the other."""
    await start(dut, name)
    rng = np.random.default_rng([SEED, *map(ord, name)])
    outputs, lanes = SETS[name]["outputs"], SETS[name]["beat_bytes"] // 4
    for vocab in (1, outputs, 3 * outputs - 1, 4 * lanes * outputs, 200):
        await run(dut, name, vocab, traffic, rng)


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def sums_wait_for_scales(dut, name):
    """Nothing is handed over while no scale has come; scales wait for sums up to the depth of their queue."""
    await start(dut, name)
    sizes, outputs = SETS[name], SETS[name]["outputs"]
    getattr(dut, f"{name}__vocab").value = 400
    await pulse(dut, name, "start")
    await exchange_all(dut, name, {}, {"request": 1}, traffic="flat out")
    recorder = Recorder(dut, name, ["o__valid", "scale_valid", "i__ready"])
    task = cocotb.start_soon(exchange_all(dut, name, {"partial": [0]}, {}, traffic="flat out", linger=30, limit=100))
    await exchange_all(dut, name, {}, {"o": 0}, traffic="flat out", linger=12)
    assert not any(recorder["o__valid"])
    await exchange_all(dut, name, {"i": [0] * max(1, sizes["depth"] * 4 // sizes["beat_bytes"] - 1)}, {"o": outputs},
                       traffic="flat out", linger=40, limit=100)
    recorder.stop()
    await task
    assert len(recorder.cycles("scale_valid")) <= sizes["depth"] + outputs
