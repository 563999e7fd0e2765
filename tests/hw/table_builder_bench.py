"""Runs in the simulator; see test_table_builder.py."""

import random

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from terntable.hw.table_builder import TableBuilder
from terntable.models.golden.table_builder import BUILD_CYCLES, LATENCY, build_tables
from tests.hw.bench.streams import SEED, TRAFFIC, exchange_all, pack_array, start
from tests.hw.bench.timing import check_flow
from tests.hw.port_models import Recorder
from tests.hw.test_table_builder import SETS, Timing, vectors


def words_of(tile: np.ndarray, keep: np.ndarray, lanes: int, marks: int) -> list[int]:
    """Words of a tile ``(rows, columns)``; its last one carries the mark, for which bit 1 of `marks` stands."""
    rows, columns = tile.shape
    kept = [sum(int(bit) << lane for lane, bit in enumerate(bits)) for bits in keep.reshape(-1, lanes)]
    words = [pack_array(word, 8) | bits << 8 * rows * lanes
             for word, bits in zip(tile.T.reshape(columns // lanes, lanes, -1), kept, strict=True)]
    words[-1] |= marks << 8 * rows * lanes + lanes
    return words


def entries_of(tile: np.ndarray, bank: int, parts: int) -> list[int]:
    """What comes out for a tile, in the order of `entry_layout`."""
    table, bits = build_tables(tile), max(1, (parts - 1).bit_length())
    return [1 | bank << 1 | part << 2 | e << 2 + bits | pack_array(sums, 10) << 6 + bits
            for part, run in enumerate(np.split(table, parts, axis=1)) for e, sums in enumerate(run)]


async def let_go(dut, name: str, traffic: str) -> None:
    """`go` in a sink's pattern, and in long waits that let two parts pile up."""
    accept = TRAFFIC[traffic][1]
    pattern = iter(lambda: 1, None) if isinstance(accept, str) else accept(random.Random(f"{SEED}go"))
    now = 0
    while True:
        getattr(dut, f"{name}__go").value = int(bool(next(pattern)) and (traffic == "flat out" or now % 100 < 70))
        await RisingEdge(getattr(dut, f"{name}_clk"))
        now += 1


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def matches(dut, name, traffic):
    await start(dut, name)
    sizes = SETS[name]
    words, parts = TableBuilder(**sizes).words, sizes["parts"]
    tiles = vectors(sizes["rows"], sizes["groups"], SEED)
    keep = np.random.default_rng(SEED).integers(0, 2, (len(tiles), tiles.shape[2]))
    keep[:4] = 1
    marks = [n % 3 == 1 for n in range(len(tiles))]
    sent = [word for tile, kept, mark in zip(tiles, keep, marks, strict=True)
            for word in words_of(tile, kept, sizes["lanes"], mark)]
    expected = [entry for n, tile in enumerate(tiles) for entry in entries_of(tile * keep[n], n % 2, parts)]
    going = cocotb.start_soon(let_go(dut, name, traffic))
    seen = Recorder(dut, name, ("o", "go", "begin", "end", "mark"))
    result = await exchange_all(dut, name, {"i": sent}, {}, traffic=traffic, limit=60, linger=140)
    going.cancel()
    seen.stop()
    assert [entry for entry in seen["o"] if entry & 1] == expected
    assert [seen["mark"][now] for now in seen.cycles("end")] == marks

    timing, accepted = Timing(words, parts), set(result.i.cycles)
    ready, flags = [], {"o": [], "begin": [], "end": []}
    for now, go in enumerate(map(bool, seen["go"][:len(result.i.ready)])):
        ready.append(int(timing.ready(go)))
        for port, value in (("o", timing.valid), ("begin", timing.begins(go)), ("end", timing.ends)):
            flags[port].append(int(value))
        timing.advance(now in accepted, go)
    check_flow("i.ready", result.i.ready, ready)
    for port, flow in flags.items():
        check_flow(port, [value & 1 for value in seen[port]][:len(flow)], flow)
    if traffic == "flat out":
        out = [now for now, entry in enumerate(seen["o"]) if entry & 1]
        assert out[0] == result.i.cycles[words - 1] + LATENCY
        period = max(BUILD_CYCLES, words)
        assert [now - out[0] for now in out[::BUILD_CYCLES]] == [period * n for n in range(len(tiles) * parts)]
