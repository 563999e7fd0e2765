"""Runs in the simulator; see test_logit_writer.py."""

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from tests.hw.bench.streams import SEED, TRAFFIC, Result, exchange_all, start
from tests.hw.port_models import Recorder
from tests.hw.test_logit_writer import SETS

BASE, STRIDE = 0x12_3456_7000, 0x4000


def blocks(name: str, vocab: int, enable: int) -> list[list[tuple[int, int, int]]]:
    """Per block of the vocabulary: (row, first vocabulary row, beats) of each request."""
    sizes = SETS[name]
    lanes, step = sizes["beat_bytes"] // 4, sizes["block"]
    wanted = [row for row in range(sizes["rows"]) if enable >> row & 1]
    return [[(row, first, min(step, vocab - first) // lanes) for row in wanted] for first in range(0, vocab, step)]


async def run(dut, name: str, vocab: int, count: int, enable: int, traffic: str, seed: int) -> Result:
    """Send the logits of `vocab` vocabulary and `count` token rows; compare requests and beats, in order."""
    size = SETS[name]["beat_bytes"]
    logits = np.random.default_rng(seed).integers(0, 1 << 32, (count, vocab), dtype=np.uint32)
    for port, value in (("enable", enable), ("base", BASE), ("stride", STRIDE)):
        getattr(dut, f"{name}__{port}").value = value
    words = [v | r << 32 | int(logits[r, v]) << 40 | (r == count - 1) << 72 | (r == count - 1 and v == vocab - 1) << 73
             for v in range(vocab) for r in range(count)]
    requests, beats = [], []
    for row, first, length in (request for block in blocks(name, vocab, enable) for request in block):
        requests.append(BASE + row * STRIDE + 4 * first | length << 64)
        raw = logits[row, first:first + length * size // 4].astype("<u4").tobytes()
        beats += [int.from_bytes(raw[at:at + size], "little") for at in range(0, len(raw), size)]
    result = await exchange_all(dut, name, {"i": words}, {"request": len(requests), "o": len(beats)}, traffic=traffic,
                                linger=3 * SETS[name]["rows"] + 8)
    assert result["request"].payloads == requests
    assert result.o.payloads == beats
    return result


def check_order(result: Result, name: str, vocab: int, count: int, enable: int) -> None:
    """A block is requested after its last logit; the block after the next begins when it is written."""
    request, beat, ends = 0, 0, []
    step = SETS[name]["block"]
    for number, block in enumerate(blocks(name, vocab, enable)):
        first, last = count * step * number, count * min(vocab, step * (number + 1)) - 1
        assert number < 2 or result.i.cycles[first] > ends[number - 2]
        after = result.i.cycles[last]
        for _, _, beats in block:
            assert result["request"].cycles[request] > after
            after = result["request"].cycles[request]
            assert result.o.cycles[beat] > after
            request, beat = request + 1, beat + beats
            after = result.o.cycles[beat - 1]
        ends.append(after)


def check_flat_out(result: Result, name: str, vocab: int, count: int, enable: int) -> None:
    """The cycle of every logit, request and beat."""
    rows, step, lanes = SETS[name]["rows"], SETS[name]["block"], SETS[name]["beat_bytes"] // 4
    now, free, items, requests, beats = result.i.cycles[0], 0, [], [], []
    idle = [0, 0]    # per bank: first cycle in which it can be filled
    for number, block in enumerate(blocks(name, vocab, enable)):
        length = count * min(step, vocab - number * step)
        now = max(now, idle[number % 2])
        items += range(now, now + length)
        now += length + 1
        at = max(now + 1, free + 1)
        wanted = {row: size for row, _, size in block}
        for row in range(rows):
            if row in wanted:
                requests.append(at)
                beats += [at + (lanes + 2) * (n + 1) for n in range(wanted[row])]
                at += (lanes + 2) * wanted[row]
            at += 2
        free = at
        idle[number % 2] = at + 1
    assert result.i.cycles == items
    assert result["request"].cycles == requests
    assert result.o.cycles == beats


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def matches(dut, name, traffic):
    """Whole blocks and a last short one, for all rows, some and none, one vocabulary after the other."""
    await start(dut, name)
    rows, lanes, block = SETS[name]["rows"], SETS[name]["beat_bytes"] // 4, SETS[name]["block"]
    every = (1 << rows) - 1
    for vocab, count, enable in ((3 * block + lanes, rows, every), (block, rows, every & 0b10101), (lanes, 1, 1),
                                 (2 * block + lanes, rows, 0), (2 * block, (rows + 1) // 2, 1)):
        result = await run(dut, name, vocab, count, enable, traffic, SEED + vocab)
        check_order(result, name, vocab, count, enable)
        if traffic == "flat out":
            check_flat_out(result, name, vocab, count, enable)


@cocotb.test()
@cocotb.parametrize(name=list(SETS), enable=[0, 1])
async def busy_until_written(dut, name, enable):
    """`busy` spans the first logit to the last beat, and no logit of the next vocabulary is taken meanwhile."""
    await start(dut, name)
    rows, lanes = SETS[name]["rows"], SETS[name]["beat_bytes"] // 4
    # The first cycle after a reset is not ready yet.
    await RisingEdge(getattr(dut, f"{name}_clk"))
    recorder = Recorder(dut, name, ["busy", "i__ready"])
    result = await run(dut, name, lanes, rows, enable, "flat out", SEED)
    recorder.stop()
    first, last = result.i.cycles[0], result.i.cycles[-1]
    # Each row takes two cycles, one that is written also those of its beat.
    end = last + 3 + 2 * rows + (lanes + 2) * enable
    assert recorder["busy"] == [int(first < now < end) for now in range(len(recorder["busy"]))]
    assert recorder["i__ready"] == [int(not last < now <= end) for now in range(len(recorder["busy"]))]
