"""Runs in the simulator; see test_topk.py."""

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from terntable.models.golden.float_bits import to_bits
from terntable.models.golden.topk import sort_key, topk
from tests.hw.bench.streams import SEED, TRAFFIC, exchange_all, start
from tests.hw.port_models import Recorder, pulse
from tests.hw.test_topk import SETS, vectors


def words(name: str, logits: np.ndarray, order: np.ndarray | None = None) -> list[int]:
    """The candidates of one index after those of the other, in the order of indices or in `order`: index, row, logit."""
    bits = SETS[name]["index_bits"]
    row_bits = max(1, (SETS[name]["rows"] - 1).bit_length())
    return [index | row << bits | int(value) << (bits + row_bits)
            for index, column in _in_order(to_bits(logits).T, order) for row, value in enumerate(column)]


def _in_order(columns: np.ndarray, order: np.ndarray | None) -> list[tuple[int, np.ndarray]]:
    return [(int(index), columns[index]) for index in (range(len(columns)) if order is None else order)]


async def lists(dut, name: str) -> tuple[list, list]:
    """Indices and patterns, each (rows, k), read entry by entry."""
    rows, k = SETS[name]["rows"], SETS[name]["k"]
    edge = RisingEdge(getattr(dut, f"{name}_clk"))
    indices, patterns = [[] for _ in range(rows)], [[] for _ in range(rows)]
    for row in range(rows):
        for place in range(k):
            getattr(dut, f"{name}__row").value, getattr(dut, f"{name}__place").value = row, place
            await edge
            await ReadOnly()
            indices[row].append(int(getattr(dut, f"{name}__best_index").value))
            patterns[row].append(int(getattr(dut, f"{name}__best_logit").value))
            await edge
    return indices, patterns


def expected(logits: np.ndarray, k: int) -> tuple[list, list]:
    """The same from the twin."""
    best = topk(logits, k)
    return best["index"].tolist(), to_bits(best["logit"]).tolist()


async def settle(dut, name: str) -> None:
    """Until `idle`."""
    edge = RisingEdge(getattr(dut, f"{name}_clk"))
    for _ in range(2000):
        await ReadOnly()
        if int(getattr(dut, f"{name}__idle").value):
            await edge
            return
        await edge
    raise AssertionError(f"{name} is never idle")


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def matches(dut, name, traffic):
    """Rising numbers, each of which enters; ties; lists that do not fill up; one right after the other."""
    await start(dut, name)
    rows, k = SETS[name]["rows"], SETS[name]["k"]
    rising = np.arange(3 * k, dtype=np.float32) - np.arange(rows, dtype=np.float32)[:, None]
    for logits in (vectors(rows, 150, SEED), rising, vectors(rows, k, SEED + 1), vectors(rows, max(1, k - 1), SEED + 2),
                   -rising, np.zeros((rows, 2 * k), np.float32)):
        await pulse(dut, name, "clear")
        await exchange_all(dut, name, {"i": words(name, logits)}, {}, traffic=traffic, limit=30 + k, linger=0)
        await settle(dut, name)
        assert await lists(dut, name) == expected(logits, k)


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=["flat out", "stalls"])
async def ties_go_to_the_lower_index(dut, name, traffic):
    """In whatever order they come, also when the list is full of them."""
    await start(dut, name)
    rows, k = SETS[name]["rows"], SETS[name]["k"]
    rng = np.random.default_rng(SEED)
    for logits in (np.zeros((rows, 3 * k), np.float32), rng.integers(-2, 3, (rows, 150)).astype(np.float32)):
        for order in (np.arange(logits.shape[1])[::-1], rng.permutation(logits.shape[1])):
            await pulse(dut, name, "clear")
            await exchange_all(dut, name, {"i": words(name, logits, order)}, {}, traffic=traffic, limit=30 + k, linger=0)
            await settle(dut, name)
            assert await lists(dut, name) == expected(logits, k)


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def cleared(dut, name):
    """An emptied list shows unused entries only; no item is taken meanwhile."""
    await start(dut, name)
    rows, k = SETS[name]["rows"], SETS[name]["k"]
    padded = 1 << (max(1, (rows - 1).bit_length()) + max(1, (k - 1).bit_length()))
    logits = vectors(rows, 30, SEED)
    for count in (30, 0):
        await pulse(dut, name, "clear")
        recorder = Recorder(dut, name, ["idle"])
        result = await exchange_all(dut, name, {"i": words(name, logits[:, :count])}, {}, traffic="flat out", linger=padded + 2,
                                    limit=30 + k)
        recorder.stop()
        assert result.i.ready[:padded + 2] == [0] * (padded + 1) + [1]
        assert recorder["idle"][:padded + 1] == [0] * padded + [1]
        await settle(dut, name)
        assert await lists(dut, name) == expected(logits[:, :count], k)


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def no_item_waits_that_does_not_enter(dut, name):
    """One item per cycle while none beats its list; 3 + k - p cycles for each that gets to place p."""
    await start(dut, name)
    rows, k = SETS[name]["rows"], SETS[name]["k"]
    await pulse(dut, name, "clear")
    best = np.full((rows, k), 10, np.float32)
    await exchange_all(dut, name, {"i": words(name, best)}, {}, traffic="flat out", linger=150 + 20 * k, limit=200 + 20 * k)
    low = np.random.default_rng(SEED).uniform(-10, 9, (rows, 60)).astype(np.float32)
    recorder = Recorder(dut, name, ["idle"])
    result = await exchange_all(dut, name, {"i": words(name, low)}, {}, traffic="flat out")
    recorder.stop()
    assert result.i.cycles == list(range(60 * rows))
    assert recorder["idle"] == [1, *[0] * (60 * rows + 1), *[1] * (len(recorder["idle"]) - 60 * rows - 2)]

    # Each item enters at place p: the first k - p numbers of the best stay behind it. They queue up, one from each row and again.
    for place in range(k):
        await pulse(dut, name, "clear")
        filled = np.array([[100 if n < place else 1 for n in range(k)]] * rows, np.float32)
        await exchange_all(dut, name, {"i": words(name, filled)}, {}, traffic="flat out", linger=150 + 20 * k, limit=200 + 20 * k)
        recorder = Recorder(dut, name, ["idle"])
        high = np.full((rows, 1), 50, np.float32)
        result = await exchange_all(dut, name, {"i": words(name, high)}, {}, traffic="flat out", linger=150 + 20 * k,
                                    limit=200 + 20 * k)
        recorder.stop()
        assert recorder["idle"].index(1, 1) == 4 + rows * (3 + k - place)
        assert result.i.cycles == list(range(rows))
        index, _ = await lists(dut, name)
        assert [row[place] for row in index] == [0] * rows
    assert sort_key(best).min() == sort_key(best).max()
