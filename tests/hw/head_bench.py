"""Runs in the simulator; see test_head.py."""

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from terntable.hw.head import Head
from terntable.models.golden.float_bits import to_bits
from terntable.models.golden.head import beats, logits
from tests.hw.bench.streams import SEED, TRAFFIC, Result, exchange_all, pack_array, start
from tests.hw.bench.timing import check_flow, rigid_pipe
from tests.hw.port_models import Recorder
from tests.hw.test_head import SETS, vectors


async def fill(dut, name: str, act: np.ndarray) -> None:
    """Write the activations (M, K) two columns at a time."""
    padded = np.pad(act, ((0, 0), (0, act.shape[1] % 2)))
    getattr(dut, f"{name}__write_valid").value = 1
    for column in range(0, padded.shape[1], 2):
        getattr(dut, f"{name}__write_column").value = column
        getattr(dut, f"{name}__write_data").value = pack_array(padded[:, column:column + 2].T, 16)
        await RisingEdge(getattr(dut, f"{name}_clk"))
    getattr(dut, f"{name}__write_valid").value = 0


def items(act: np.ndarray, weight: np.ndarray, scale: np.ndarray, d: np.ndarray, block: int) -> list[int]:
    """The output words, padding rows included, from the twin."""
    vocab = len(weight)
    padding = -vocab % block
    result = to_bits(logits(act, np.pad(weight, ((0, padding), (0, 0))), np.pad(scale, (0, padding)), d))
    rows, total = len(act), vocab + padding
    flags = 32 * (rows + 1)
    return [v | pack_array(result[:, v], 32) << 32 | (v == total - 1) << flags | (v >= vocab) << flags + 1
            for v in range(total)]


def check_cycles(result: Result, head: Head, inputs: int) -> None:
    """Beats move whenever the pipe does; a vocabulary row's last beat is the item that enters it."""
    words, block = -(-inputs // head.beat_bytes), head.beat_bytes // 4
    weights, command, o = result["weights"], result["command"], result.o
    ends = [cycle for n, cycle in enumerate(weights.cycles)
            if (place := n % (1 + block * words)) and not place % words]
    enabled, valid = rigid_pipe(ends, o.ready, head.LATENCY)
    check_flow("o.valid", o.valid, valid)
    begin, stop, end = command.cycles[0] + 1, weights.cycles[-1] + 1, o.cycles[-1] + 1
    reading = [int(begin <= now < stop) for now in range(len(enabled))]
    check_flow("weights.ready", weights.ready, [a & b for a, b in zip(enabled, reading, strict=True)])
    check_flow("command.ready", command.ready, [int(not begin <= now < end) for now in range(len(enabled))])
    if result.traffic == "flat out":
        assert weights.cycles == list(range(begin, begin + len(weights.cycles))), "not a beat per cycle"
        assert o.cycles == [cycle + head.LATENCY for cycle in ends]


async def run(dut, name: str, inputs: int, vocab: int, traffic: str, seed: int) -> None:
    head = Head(**SETS[name])
    act, weight, scale, d = vectors(head.rows, inputs, vocab, seed)
    await fill(dut, name, act)
    getattr(dut, f"{name}__d").value = pack_array(to_bits(d), 32)
    stream = [int.from_bytes(beat.tobytes(), "little") for beat in beats(weight, scale, head.beat_bytes)]
    expected = items(act, weight, scale, d, head.beat_bytes // 4)
    result = await exchange_all(dut, name, {"command": [vocab | inputs << 32], "weights": stream},
                                {"o": len(expected)}, traffic=traffic)
    assert result.o.payloads == expected
    check_cycles(result, head, inputs)


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def matches(dut, name, traffic):
    """Whole and partial words, whole and partial blocks, one command after the other."""
    await start(dut, name)
    sizes = SETS[name]
    beat = sizes["beat_bytes"]
    for inputs, vocab in ((sizes["max_hidden"], 21), (beat, beat // 4 * 2), (1, 3)):
        await run(dut, name, inputs, vocab, traffic, SEED + inputs)


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def largest(dut, name):
    """The longest vocabulary; `busy` and `done` around it."""
    await start(dut, name)
    await run(dut, name, 2, SETS[name]["max_vocab"], "stalls", SEED)
    await ReadOnly()
    assert not int(getattr(dut, f"{name}__busy").value)


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def done_comes_once(dut, name):
    """`done` is high in the cycle in which the last item is taken, and only then; `busy` ends with it."""
    await start(dut, name)
    recorder = Recorder(dut, name, ["done", "busy"])
    block = SETS[name]["beat_bytes"] // 4
    result = await exchange_all(dut, name, {"command": [1 | 1 << 32], "weights": [0] * (1 + block)},
                                {"o": block}, traffic="shy sink")
    recorder.stop()
    seen = list(zip(recorder["done"], recorder["busy"], strict=True))
    last, begin = result.o.cycles[-1], result["command"].cycles[0]
    assert [done for done, _ in seen] == [int(now == last) for now in range(len(seen))]
    assert [busy for _, busy in seen] == [int(begin < now <= last) for now in range(len(seen))]
