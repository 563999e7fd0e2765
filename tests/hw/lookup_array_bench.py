"""Runs in the simulator; see test_lookup_array.py."""

import cocotb
import numpy as np

from terntable.models.golden.base3 import split_bytes
from terntable.models.golden.lookup_array import latency, lookup
from terntable.models.golden.table_builder import build_tables
from tests.hw.bench.streams import SEED, TRAFFIC, exchange_all, pack_array, start
from tests.hw.bench.timing import check_rigid_pipe
from tests.hw.test_lookup_array import SETS, beats


def entries(tables: tuple[np.ndarray, np.ndarray], bank: int) -> list[int]:
    """Words of ``write`` for a bank: entry, low, high, last, bank."""
    low, high = tables
    width = 10 * low[0].size
    return [e | pack_array(low[e], 10) << 5 | pack_array(high[e], 10) << 5 + width
            | ((e == 26) | bank << 1) << 5 + 2 * width for e in range(27)]


def questions(bytes_: np.ndarray, banks: np.ndarray) -> list[int]:
    """Words of ``i``: low, high, bank."""
    low, high, _ = split_bytes(bytes_)
    count = bytes_.shape[1]
    return [pack_array(a, 5) | pack_array(b, 4) << 5 * count | int(bank) << 9 * count
            for a, b, bank in zip(low, high, banks, strict=True)]


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def matches(dut, name, traffic):
    await start(dut, name)
    rows, lanes, groups = SETS[name].values()
    rng = np.random.default_rng(SEED)
    tiles = rng.integers(-128, 128, (3, rows, 5 * groups)).astype(np.int8)
    tiles[0] = -128
    tables = [build_tables(tile) for tile in tiles]
    bytes_ = beats(lanes, groups, SEED)
    low, high, _ = split_bytes(bytes_)
    answers = [lookup(*table, low, high) for table in tables]
    width = (640 * groups).bit_length() + 1

    # Tile 0 lies in bank 0. It is read while tile 1 goes to bank 1, then both are, while nothing is written,
    # and at last tile 1 while tile 2 takes bank 0.
    await exchange_all(dut, name, {"write": entries(tables[0], 0)}, {}, traffic="flat out")
    mixed = rng.integers(0, 2, len(bytes_))
    for written, banks, expected in (
            (entries(tables[1], 1), np.zeros_like(mixed), answers[0]),
            ([], mixed, np.where(mixed[:, None, None], answers[1], answers[0])),
            (entries(tables[2], 0), np.ones_like(mixed), answers[1]),
            ([], np.zeros_like(mixed), answers[2])):
        sources = {"i": questions(bytes_, banks)} | ({"write": written} if written else {})
        result = await exchange_all(dut, name, sources, {"o": len(bytes_)}, traffic=traffic)
        assert result.o.payloads == [pack_array(sums, width) for sums in expected]
        check_rigid_pipe(result, latency(groups))
        if written:
            assert all(result["write"].ready), "write was not ready"
