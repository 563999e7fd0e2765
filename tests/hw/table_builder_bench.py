"""Runs in the simulator; see test_table_builder.py."""

import cocotb
import numpy as np

from terntable.hw.table_builder import TableBuilder
from terntable.models.golden.table_builder import BUILD_CYCLES, LATENCY, build_tables
from tests.hw.bench.streams import SEED, TRAFFIC, exchange, pack_array, start
from tests.hw.bench.timing import check_flow
from tests.hw.test_table_builder import SETS, Timing, vectors


def words_of(tile: np.ndarray, lanes: int, words: int) -> list[int]:
    """Words of a tile ``(rows, columns)``; columns past its end hold a pattern that must not matter."""
    filled = np.full((words * lanes, tile.shape[0]), 0x55, np.int8)
    filled[:tile.shape[1]] = tile.T
    return [pack_array(word, 8) for word in filled.reshape(words, lanes, -1)]


def entries_of(tile: np.ndarray) -> list[int]:
    low, high = build_tables(tile)
    width = 10 * low[0].size
    return [e | pack_array(low[e], 10) << 5 | pack_array(high[e], 10) << 5 + width
            | (e == BUILD_CYCLES - 1) << 5 + 2 * width for e in range(BUILD_CYCLES)]


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def matches(dut, name, traffic):
    await start(dut, name)
    sizes = SETS[name]
    words = TableBuilder(**sizes).words
    tiles = vectors(sizes["rows"], sizes["groups"], SEED)
    sent = [word for tile in tiles for word in words_of(tile, sizes["lanes"], words)]
    expected = [entry for tile in tiles for entry in entries_of(tile)]
    result = await exchange(dut, name, sent, len(expected), traffic=traffic)
    assert result.o.payloads == expected

    timing, accepted = Timing(words), set(result.i.cycles)
    ready, valid = [], []
    for now, taken in enumerate(result.o.ready):
        ready.append(int(timing.ready))
        valid.append(int(timing.valid))
        timing.advance(now in accepted, bool(taken))
    check_flow("i.ready", result.i.ready, ready)
    check_flow("o.valid", result.o.valid, valid)
    if traffic == "flat out":
        first = result.i.cycles[words - 1] + LATENCY
        assert result.o.cycles == list(range(first, first + len(expected))), "not one entry per cycle"
