"""Runs in the simulator; see test_lookup_array.py."""

import random

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from terntable.hw.lookup_array import LookupArray
from terntable.models.golden.lookup_array import lookup
from terntable.models.golden.table_builder import build_tables
from tests.hw.bench.streams import SEED, TRAFFIC, pack_array, start, unpack_array
from tests.hw.table_builder_bench import entries_of
from tests.hw.test_lookup_array import SETS, cells


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def matches(dut, name, traffic):
    """Cells and entries in every cycle or in some; an entry is there from the next cycle on."""
    await start(dut, name)
    sizes = SETS[name]
    unit, rows, outputs = LookupArray(**sizes), sizes["rows"], sizes["outputs"]
    rng = np.random.default_rng(SEED)
    tiles = rng.integers(-128, 128, (3, rows, 3 * sizes["groups"])).astype(np.int8)
    tiles[0] = -128
    tables = [build_tables(tile) for tile in tiles]
    address, negate = cells(outputs * sizes["groups"], SEED)
    asked = [pack_array(both, 5) for both in address | negate << 4]
    answers = [lookup(table, address, negate) for table in tables]
    offers = {port: TRAFFIC[traffic][0](random.Random(f"{SEED}{port}")) for port in ("i", "write")}
    pins = {port: getattr(dut, f"{name}__{port}") for port in ("write", "i", "bank", "o", "negate")}
    edge = RisingEdge(getattr(dut, f"{name}_clk"))
    due: list[np.ndarray | None] = []    # the sums of each cycle's cell

    async def run(written: list[int], banks: np.ndarray, expected: np.ndarray) -> None:
        at = 0
        while written or at < len(expected) or any(sums is not None for sums in due[-unit.LATENCY:]):
            write = bool(written) and next(offers["write"])
            pins["write"].value = written.pop(0) if write else int(rng.integers(0, 1 << 30)) << 1
            cell = at < len(expected) and next(offers["i"])
            pins["i"].value = asked[at] if cell else asked[-1]
            pins["bank"].value = int(banks[at]) if cell else 1
            await ReadOnly()
            wanted = due[-unit.LATENCY] if len(due) >= unit.LATENCY else None
            if wanted is not None:
                got = unpack_array(int(pins["o"].value), unit.sum_bits, outputs * rows, signed=True).reshape(outputs, rows)
                signs = 1 - 2 * unpack_array(int(pins["negate"].value), 1, outputs).astype(int)
                assert (got * signs[:, None] == wanted).all()
            due.append(expected[at] if cell else None)
            at += bool(cell)
            await edge

    # Tile 0 lies in bank 0. It is read while tile 1 goes to bank 1, then both are, while nothing is written,
    # and at last tile 1 while tile 2 takes bank 0.
    entries = [entries_of(tile, n % 2, sizes["parts"]) for n, tile in enumerate(tiles)]
    nobody = np.zeros(0, int)
    await run(entries[0], nobody, answers[0][:0])
    mixed = rng.integers(0, 2, len(asked))
    await run(entries[1], np.zeros_like(mixed), answers[0])
    await run([], mixed, np.where(mixed[:, None, None], answers[1], answers[0]))
    await run(entries[2], np.ones_like(mixed), answers[1])
    await run([], np.zeros_like(mixed), answers[2])
