"""Runs in the simulator; see test_head.py."""

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from terntable.hw.head import Head
from terntable.hw.head_logits import QUEUE
from terntable.models.golden.float_bits import to_bits
from terntable.models.golden.head import logits, words
from tests.hw.bench.streams import SEED, TRAFFIC, Result, exchange_all, pack_array, start
from tests.hw.port_models import Recorder
from tests.hw.test_head import SETS, vectors


async def fill(dut, name: str, act: np.ndarray) -> None:
    """Write the activations (M, K) word by word; what lies past the inputs is rubbish."""
    rows, lanes, depth = (SETS[name][key] for key in ("rows", "lanes", "max_hidden"))
    padded = np.pad(act, ((0, 0), (0, -(-depth // lanes) * lanes - act.shape[1])), constant_values=-1234)
    getattr(dut, f"{name}__write_rows").value = (1 << rows) - 1
    for word in range(padded.shape[1] // lanes):
        getattr(dut, f"{name}__write_address").value = word
        getattr(dut, f"{name}__write_data").value = pack_array(padded[:, word * lanes:(word + 1) * lanes].T, 16)
        await RisingEdge(getattr(dut, f"{name}_clk"))
    getattr(dut, f"{name}__write_rows").value = 0


def items(act: np.ndarray, weight: np.ndarray, scale: np.ndarray, d: np.ndarray, block: int) -> list[int]:
    """The output words, padding rows included, from the twin."""
    vocab = len(weight)
    padding = -vocab % block
    result = to_bits(logits(act, np.pad(weight, ((0, padding), (0, 0))), np.pad(scale, (0, padding)), d))
    count, total = len(act), vocab + padding
    return [v | r << 32 | int(result[r, v]) << 40 | (r == count - 1) << 72 | (r == count - 1 and v == total - 1) << 73
            | (v >= vocab) << 74 for v in range(total) for r in range(count)]


def check_cycles(result: Result, recorder: Recorder, head: Head, count: int, inputs: int) -> None:
    """Flat out: a beat per cycle in all blocks after the first column word, and logits as fast as they can."""
    block, column_words = head.beat_bytes, -(-inputs // head.beat_bytes)
    weights, o = result["weights"].cycles, result.o.cycles
    per_block = 2 + column_words * block // 2
    # Scales a word per cycle, then a word in two; the first column word's activations must come first.
    begin = result["command"].cycles[0] + block // head.lanes + 3
    assert weights[2] == begin + 1
    if count <= column_words:
        blocks = len(weights) // per_block
        first = [begin + b * (2 + column_words * block) for b in range(blocks)]
        beats = [[at + 1 + 2 * n for n in range(per_block - 2)] for at in first]
        assert weights[:2] == [weights[0], weights[0] + 1]
        assert weights[2:] == [cycle for b in range(blocks) for cycle in ([first[b] - 2, first[b] - 1] if b else []) + beats[b]]
        now, expected = 0, []
        for b in range(blocks):
            for v in range(block):
                # The queue puts out a vocabulary row's logits once the one before has left.
                now = max(now, first[b] + (column_words - 1) * block + v + head.LATENCY)
                expected += range(now, now + count)
                now += count
        assert o == expected
        assert recorder.cycles("wait_word") == []


async def run(dut, name: str, inputs: int, vocab: int, count: int, traffic: str, seed: int) -> Result:
    head = Head(**SETS[name])
    act, weight, scale, d = vectors(head.rows, inputs, vocab, seed)
    await fill(dut, name, act)
    getattr(dut, f"{name}__d").value = pack_array(to_bits(d), 32)
    getattr(dut, f"{name}__count").value = count
    stream = [int.from_bytes(word.tobytes(), "little") for word in words(weight, scale, head.beat_bytes)]
    expected = items(act[:count], weight, scale, d[:count], head.beat_bytes)
    recorder = Recorder(dut, name, ["done", "busy", "wait_word"])
    result = await exchange_all(dut, name, {"command": [vocab | inputs << 32], "weights": stream},
                                {"o": len(expected)}, traffic=traffic)
    recorder.stop()
    assert result.o.payloads == expected
    last, begin = result.o.cycles[-1], result["command"].cycles[0]
    assert recorder.cycles("done") == [last]
    assert recorder.cycles("busy") == list(range(begin + 1, last + 1))
    if traffic == "flat out":
        check_cycles(result, recorder, head, count, inputs)
    return result


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def matches(dut, name, traffic):
    """Whole and partial column words, whole and partial blocks, one command after the other."""
    await start(dut, name)
    sizes = SETS[name]
    block, rows = sizes["beat_bytes"], sizes["rows"]
    shapes = [(sizes["max_hidden"], 2 * block + 3, rows), (block, block, 1), (1, 3, rows), (2 * block, 3 * block, max(1, rows - 1))]
    for inputs, vocab, count in shapes if block < 64 or traffic == "flat out" else shapes[:1]:
        await run(dut, name, inputs, vocab, count, traffic, SEED + inputs)


@cocotb.test()
@cocotb.parametrize(name=["least", "odd"])
async def largest(dut, name):
    """The longest vocabulary."""
    await start(dut, name)
    await run(dut, name, 2, SETS[name]["max_vocab"], 1, "stalls", SEED)
    await ReadOnly()
    assert not int(getattr(dut, f"{name}__busy").value)


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def nobody_takes(dut, name):
    """Logits that nobody takes hold up the words once both queues are full; none is lost."""
    await start(dut, name)
    head = Head(**SETS[name])
    block, edge = head.beat_bytes, RisingEdge(getattr(dut, f"{name}_clk"))
    vocab = min(head.max_vocab, head.depth + QUEUE // head.rows + 2 * block)
    act, weight, scale, d = vectors(head.rows, 1, vocab, SEED)
    await fill(dut, name, act)
    getattr(dut, f"{name}__d").value, getattr(dut, f"{name}__count").value = pack_array(to_bits(d), 32), head.rows
    stream = [int.from_bytes(word.tobytes(), "little") for word in words(weight, scale, block)]
    expected = items(act, weight, scale, d, block)
    await exchange_all(dut, name, {"command": [vocab | 1 << 32]}, {}, traffic="flat out", linger=0)
    valid, payload, ready = (getattr(dut, f"{name}__weights__{part}") for part in ("valid", "payload", "ready"))
    sent = quiet = 0
    while quiet < 60:
        valid.value, payload.value = 1, stream[sent]
        await ReadOnly()
        taken = int(ready.value)
        await edge
        sent, quiet = sent + taken, 0 if taken else quiet + 1
    # Vocabulary rows whose beats are taken: a few less than both queues hold.
    through = 2 * (sent - 2 * -(-sent // (2 + block // 2)))
    assert 0 <= head.depth + QUEUE // head.rows - through <= 6
    result = await exchange_all(dut, name, {"weights": stream[sent:]}, {"o": len(expected)}, traffic="flat out")
    assert result.o.payloads == expected


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def waits_for_words(dut, name):
    """`wait_word` in each cycle in which nothing but the word is missing."""
    await start(dut, name)
    recorder = Recorder(dut, name, ["wait_word"])
    block = SETS[name]["beat_bytes"]
    getattr(dut, f"{name}__count").value = 1
    result = await exchange_all(dut, name, {"command": [1 | 1 << 32], "weights": [0] * (2 + block // 2)}, {"o": block},
                                traffic="bubbles")
    recorder.stop()
    flow, first = result["weights"], result["command"].cycles[0]
    valid, cycles = flow.valid, flow.cycles
    # Once the first column word's activations are there, every cycle without a word is one.
    for now in range(cycles[3], cycles[-1]):
        assert recorder["wait_word"][now] == 1 - valid[now]
    assert recorder["wait_word"][first + 1:cycles[0]] == [1] * (cycles[0] - first - 1)
    assert not any(recorder["wait_word"][cycles[-1] + 1:])
