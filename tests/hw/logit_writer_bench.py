"""Runs in the simulator; see test_logit_writer.py."""

import cocotb
import numpy as np

from terntable.hw.logit_writer import LogitWriter
from tests.hw.bench.streams import SEED, TRAFFIC, Result, exchange_all, pack_array, start
from tests.hw.port_models import Recorder
from tests.hw.test_logit_writer import SETS

BASE, STRIDE = 0x12_3456_7000, 0x4000


def blocks(name: str, count: int, enable: int) -> list[list[tuple[int, int, int]]]:
    """Per block of `count` items: (row, first item, beats) of each request."""
    sizes = SETS[name]
    lanes = sizes["beat_bytes"] // 4
    step = lanes * sizes["block"]
    wanted = [row for row in range(sizes["rows"]) if enable >> row & 1]
    return [[(row, first, min(step, count - first) // lanes) for row in wanted]
            for first in range(0, count, step)]


async def run(dut, name: str, count: int, enable: int, traffic: str, seed: int) -> tuple[Result, np.ndarray]:
    """Send `count` vocabulary rows and compare requests and beats, in order."""
    sizes = SETS[name]
    rows, size = sizes["rows"], sizes["beat_bytes"]
    logits = np.random.default_rng(seed).integers(0, 1 << 32, (rows, count), dtype=np.uint32)
    for port, value in (("enable", enable), ("base", BASE), ("stride", STRIDE)):
        getattr(dut, f"{name}__{port}").value = value
    words = [v | pack_array(logits[:, v], 32) << 32 | (v == count - 1) << 32 * (rows + 1)
             for v in range(count)]
    requests, beats = [], []
    for row, first, length in (request for block in blocks(name, count, enable) for request in block):
        requests.append(BASE + row * STRIDE + 4 * first | length << 64)
        raw = logits[row, first:first + length * size // 4].astype("<u4").tobytes()
        beats += [int.from_bytes(raw[at:at + size], "little") for at in range(0, len(raw), size)]
    result = await exchange_all(dut, name, {"i": words}, {"request": len(requests), "o": len(beats)},
                                traffic=traffic, linger=3 * rows + 4)
    assert result["request"].payloads == requests
    assert result.o.payloads == beats
    return result, logits


def check_order(result: Result, name: str, count: int, enable: int) -> None:
    """No item between a block's last one and its last beat; each request, then its beats, before the next."""
    lanes = SETS[name]["beat_bytes"] // 4
    request, beat, item = 0, 0, 0
    after = -1
    for block in blocks(name, count, enable):
        length = min(lanes * SETS[name]["block"], count - item)
        assert result.i.cycles[item] > after
        item += length
        after = result.i.cycles[item - 1]
        for _, _, beats in block:
            assert result["request"].cycles[request] > after
            after = result["request"].cycles[request]
            request += 1
            assert result.o.cycles[beat] > after
            beat += beats
            after = result.o.cycles[beat - 1]


def check_flat_out(result: Result, name: str, count: int, enable: int) -> None:
    """The cycle of every item, request and beat."""
    rows, lanes = SETS[name]["rows"], SETS[name]["beat_bytes"] // 4
    now, items, requests, beats = result.i.cycles[0], [], [], []
    for block in blocks(name, count, enable):
        length = min(lanes * SETS[name]["block"], count - len(items))
        items += range(now, now + length)
        now += length - 1 + LogitWriter.LATENCY
        wanted = {row: size for row, _, size in block}
        for row in range(rows):
            if row in wanted:
                requests.append(now)
                beats += range(now + 2, now + 2 + wanted[row])
                now += wanted[row] + 1
            now += 2
    assert result.i.cycles == items
    assert result["request"].cycles == requests
    assert result.o.cycles == beats


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def matches(dut, name, traffic):
    """Whole blocks and a last short one, for all rows, some and none, one vocabulary after the other."""
    await start(dut, name)
    sizes = SETS[name]
    lanes, every = sizes["beat_bytes"] // 4, (1 << sizes["rows"]) - 1
    whole = lanes * sizes["block"]
    for count, enable in ((2 * whole + lanes, every), (whole, every & 0b10101), (lanes, every ^ every >> 1),
                          (whole + lanes, 0)):
        result, _ = await run(dut, name, count, enable, traffic, SEED + count)
        check_order(result, name, count, enable)
        if traffic == "flat out":
            check_flat_out(result, name, count, enable)


@cocotb.test()
@cocotb.parametrize(name=list(SETS), enable=[0, 1])
async def busy_until_done(dut, name, enable):
    """`busy` spans the first item to the last beat, and `done` is high in its last cycle only."""
    await start(dut, name)
    recorder = Recorder(dut, name, ["done", "busy"])
    lanes = SETS[name]["beat_bytes"] // 4
    result, _ = await run(dut, name, lanes, enable, "flat out", SEED)
    recorder.stop()
    seen = list(zip(recorder["done"], recorder["busy"], strict=True))
    # A row that is written takes four cycles when its block is one beat, another row two.
    first, last = result.i.cycles[0], result.i.cycles[-1]
    end = last + LogitWriter.LATENCY + 2 * SETS[name]["rows"] + 2 * enable
    assert [busy for _, busy in seen] == [int(first < now < end) for now in range(len(seen))]
    assert [done for done, _ in seen] == [int(now == end - 1) for now in range(len(seen))]
