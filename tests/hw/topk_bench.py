"""Runs in the simulator; see test_topk.py."""

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from terntable.hw.topk import TopK
from terntable.models.golden.float_bits import to_bits
from terntable.models.golden.topk import topk
from tests.hw.bench.streams import SEED, TRAFFIC, exchange_all, pack_array, start, unpack_array
from tests.hw.test_topk import SETS, vectors


def words(logits: np.ndarray, index_bits: int) -> list[int]:
    """One word per candidate: index, then a logit of each row."""
    return [pack_array(to_bits(column), 32) << index_bits | index for index, column in enumerate(logits.T)]


def lists(dut, name: str) -> tuple[list, list]:
    """Indices and patterns that the component shows, each (rows, k)."""
    rows, k = SETS[name]["rows"], SETS[name]["k"]
    shown = (int(getattr(dut, f"{name}__{port}").value) for port in ("best_index", "best_logit"))
    return tuple(unpack_array(word, 32, rows * k).reshape(rows, k).tolist() for word in shown)


def expected(logits: np.ndarray, k: int) -> tuple[list, list]:
    """The same from the twin."""
    best = topk(logits, k)
    return best["index"].tolist(), to_bits(best["logit"]).tolist()


async def clear(dut, name: str) -> None:
    getattr(dut, f"{name}__clear").value = 1
    await RisingEdge(getattr(dut, f"{name}_clk"))
    getattr(dut, f"{name}__clear").value = 0


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def matches(dut, name, traffic):
    """After whole lists, also one right after the other."""
    await start(dut, name)
    k = SETS[name]["k"]
    for count in (200, k - 1, k):
        if not count:
            continue
        logits = vectors(SETS[name]["rows"], count, SEED + count)
        await clear(dut, name)
        items = words(logits, SETS[name]["index_bits"])
        result = await exchange_all(dut, name, {"i": items}, {}, traffic=traffic)
        assert lists(dut, name) == expected(logits, k)
        assert all(result.i.ready), "an item had to wait"
        if traffic == "flat out":
            assert result.i.cycles == list(range(count))


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def every_item_in_its_cycle(dut, name):
    """The lists after each item, LATENCY cycles later; a clear drops what is under way."""
    await start(dut, name)
    sizes, edge = SETS[name], RisingEdge(getattr(dut, f"{name}_clk"))
    logits = vectors(sizes["rows"], 40, SEED)
    valid, payload = getattr(dut, f"{name}__i__valid"), getattr(dut, f"{name}__i__payload")
    stream = words(logits, sizes["index_bits"])
    empty = np.zeros((sizes["rows"], 0), np.float32)
    for now in range(40 + TopK.LATENCY):
        valid.value = int(now < 40)
        payload.value = stream[min(now, 39)]
        await ReadOnly()
        seen = logits[:, :max(0, now + 1 - TopK.LATENCY)]
        assert lists(dut, name) == expected(seen, sizes["k"]), f"cycle {now}"
        await edge
    valid.value = 1
    await edge
    valid.value, getattr(dut, f"{name}__clear").value = 1, 1
    await edge
    valid.value, getattr(dut, f"{name}__clear").value = 0, 0
    for _ in range(TopK.LATENCY + 1):
        await ReadOnly()
        assert lists(dut, name) == expected(empty, sizes["k"])
        await edge
