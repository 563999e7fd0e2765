"""Runs in the simulator; see test_loading.py."""

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from terntable.hw.row_loader import LoadKind, RowLoader
from terntable.hw.spec.program import ROW, ROW_BYTES, RowFlag
from terntable.models.golden.float_bits import to_bits
from terntable.models.golden.half_to_float import half_to_float
from tests.hw.bench.streams import SEED, TRAFFIC, exchange_all, start, unpack_array
from tests.hw.bench.timing import check_flow
from tests.hw.port_models import Recorder, beats_of, pulse, table_word
from tests.hw.test_loading import LOADERS, TABLES


@cocotb.test()
@cocotb.parametrize(name=list(TABLES), traffic=list(TRAFFIC))
async def table_holds(dut, name, traffic):
    """Every count, the fullest first; a start empties the table, also halfway through another."""
    await start(dut, name)
    rows, size = TABLES[name]["rows"], TABLES[name]["beat_bytes"]
    rng = np.random.default_rng([SEED, *map(ord, name)])
    table, some, full = (getattr(dut, f"{name}__{port}") for port in ("table", "any_output", "any_logits"))
    for count in (*range(rows, 0, -1), *range(1, rows + 1)):
        records = np.frombuffer(rng.bytes(ROW_BYTES * count), ROW).copy()
        records["flags"] = records["flags"] & ~np.uint32(6) if count % 2 else records["flags"]
        records["flags"][-1] |= (0, RowFlag.VECTOR, RowFlag.TOP_K, RowFlag.LOGITS, RowFlag.KEEP)[int(rng.integers(5))]
        stream = beats_of(records.tobytes(), size)
        getattr(dut, f"{name}__count").value = count
        for words in (stream[: len(stream) - 1], stream):
            await pulse(dut, name, "start")
            await ReadOnly()
            assert not int(table.value), "the last pass's rows are still there"
            await RisingEdge(getattr(dut, f"{name}_clk"))
            recorder = Recorder(dut, name, ["done"])
            result = await exchange_all(dut, name, {"i": words}, {}, traffic=traffic, linger=2)
            recorder.stop()
            last = result.i.cycles[-1] if result.i.cycles else -1
            whole = words is stream
            check_flow(
                "i.ready",
                result.i.ready,
                [int(not whole or now <= last) for now in range(len(result.i.ready))],
            )
            assert recorder.cycles("done") == ([last + 2] if whole else [])
        await ReadOnly()
        assert int(table.value) == table_word(records)
        assert int(some.value) == bool((records["flags"] & (RowFlag.TOP_K | RowFlag.LOGITS)).any())
        assert int(full.value) == bool((records["flags"] & RowFlag.LOGITS).any())
        await RisingEdge(getattr(dut, f"{name}_clk"))


class Memory:
    """What a loader wrote: per kind and row, words by address."""

    def __init__(self, recorder: Recorder, rows: int, lanes: int):
        self.words: dict[tuple[int, int, int], list[int]] = {}
        for kind, mask, address, word in zip(
            *(recorder[p] for p in ("kind", "write_rows", "write_address", "write_data")), strict=True
        ):
            block = unpack_array(word, 32, rows * lanes).reshape(lanes, rows) if mask else None
            for row in (r for r in range(rows) if mask >> r & 1):
                assert (kind, row, address) not in self.words, f"row {row}, word {address} is written twice"
                self.words[kind, row, address] = block[:, row].tolist()

    def row(self, kind: int, row: int) -> list[int]:
        found = {address: word for (k, r, address), word in self.words.items() if (k, r) == (kind, row)}
        assert sorted(found) == list(range(len(found)))
        return [item for address in sorted(found) for item in found[address]]


def corners(rng: np.random.Generator, length: int) -> np.ndarray:
    """FP16 patterns, (length,): both zeros, subnormals, the largest, infinity, a NaN."""
    patterns = rng.integers(0, 1 << 16, length).astype(np.uint16)
    special = [0x8000, 1, 0x83FF, 0x7BFF, 0xFC00, 0x7E12, 0x0400, 0x0000][:length]
    patterns[: len(special)] = special
    return patterns


@cocotb.test()
@cocotb.parametrize(name=list(LOADERS), traffic=list(TRAFFIC))
async def loader_loads(dut, name, traffic):
    """Tokens, vectors and rows to keep mixed, angles; lengths whose last beat is whole and partial; every count of rows."""
    await start(dut, name)
    rows, lanes, size, depth = (LOADERS[name][key] for key in ("rows", "lanes", "beat_bytes", "depth"))
    rng = np.random.default_rng([SEED, *map(ord, name)])
    embed_base, rope_base = (int(base) << 6 for base in rng.integers(1 << 32, 1 << 40, 2))
    getattr(dut, f"{name}__embed_base").value, getattr(dut, f"{name}__rope_base").value = (
        embed_base,
        rope_base,
    )
    longest = lanes * depth
    for case, count in enumerate((*range(rows, 0, -1), rows, rows, rows)):
        length = (longest, lanes, longest - lanes, 3 * lanes, 5 * lanes)[case % 5]
        records = np.frombuffer(rng.bytes(ROW_BYTES * rows), ROW).copy()
        records["vector"] &= ~np.uint64(63)
        entries = (RowFlag(0), RowFlag.VECTOR, RowFlag.KEEP | RowFlag.VECTOR, RowFlag.KEEP)
        records["flags"] = [entries[(r + case) % 4] for r in range(rows)]
        records[count:] = np.zeros(1, ROW)
        getattr(dut, f"{name}__table").value, getattr(dut, f"{name}__count").value = (
            table_word(records),
            count,
        )
        for kind in (LoadKind.EMBED, LoadKind.ROPE):
            rope = kind == LoadKind.ROPE
            base, items = (rope_base, length // 2) if rope else (embed_base, length)
            stride, stream, requests, expected = size * int(rng.integers(1, 1 << 16)), [], [], []
            for record in records[:count]:
                kept = not rope and record["flags"] & RowFlag.KEEP
                wide = rope or (record["flags"] & RowFlag.VECTOR and not kept)
                values = rng.integers(0, 1 << 32, length).astype(np.uint32) if wide else corners(rng, length)
                raw = beats_of(values.tobytes(), size)
                index = int(record["position"] if rope else record["token"])
                address = int(record["vector"]) if wide and not rope else (base + index * stride) % (1 << 64)
                requests.append(address | len(raw) << 64)
                stream += raw
                read = values if wide else to_bits(half_to_float(values.view(np.float16)))
                expected.append([] if kept else read.tolist())
            expected += [[0] * length] * (rows - count)
            recorder = Recorder(dut, name, ["kind", "write_rows", "write_address", "write_data", "done"])
            command = kind.value | items << 1 | stride << 17
            # Rows are cleared after the last one that is loaded.
            result = await exchange_all(
                dut, name, {"command": [command], "i": stream}, {"request": count}, traffic=traffic, linger=length // lanes + 8
            )
            recorder.stop()
            assert result["request"].payloads == requests
            memory = Memory(recorder, rows, lanes)
            for row in range(rows):
                assert memory.row(kind.value, row) == expected[row], (
                    f"{kind}, {length} columns, row {row} of {count}"
                )
            assert len(memory.words) == sum(map(len, expected)) // lanes
            (done,) = recorder.cycles("done")
            written = [now for now, mask in enumerate(recorder["write_rows"]) if mask]
            assert written[-1:] == [done] if expected[-1] else all(now < done for now in written)
            if traffic == "flat out":
                words = length // lanes
                cleared = words + 1 if count < rows else 0
                assert done == result["command"].cycles[0] + count * (words + RowLoader.ROW_CYCLES) + cleared + 1
