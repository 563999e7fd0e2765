"""Runs in the simulator; see test_storing.py."""

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from terntable.hw.spec.layout import KvLayout
from terntable.hw.spec.program import RESULT, ROW, ROW_BYTES
from tests.hw.bench.streams import SEED, TRAFFIC, exchange_all, pack_array, start
from tests.hw.port_models import Recorder, acknowledge, beats_of, pulse, serve, table_word, writes_of
from tests.hw.test_storing import RESULTS, STORES

#: Cycles for the acknowledgement that follows the last beat.
LINGER = 12


class Store:
    """A store unit with its buffers; `region` lies at an offset from the cache's base."""

    def __init__(self, dut, name):
        self.dut, self.name = dut, name
        self.rows, self.size, self.key_slot = (
            STORES[name][key] for key in ("rows", "beat_bytes", "key_slot")
        )
        self.rng = np.random.default_rng([SEED, *map(ord, name)])
        self.base, self.region = int(self.rng.integers(1 << 34)) << 6, int(self.rng.integers(1 << 26)) << 6
        self.vectors = self.rng.integers(-128, 128, (2, self.rows, 3 * self.size)).astype(np.int8)
        self.scales = self.rng.integers(0, 1 << 32, (2, self.rows)).astype(np.uint32)
        self.pin("kv_base").value = self.base
        cocotb.start_soon(serve(dut, name, "read_word", "read_data", self.word, choice="value"))
        cocotb.start_soon(serve(dut, name, "scale_slot", "scale_data", self.scale))
        cocotb.start_soon(acknowledge(dut, name, "write_request"))

    def pin(self, port):
        return getattr(self.dut, f"{self.name}__{port}")

    def word(self, index, value):
        """A word of the KEY or VALUE buffer; garbage past its end."""
        part = self.vectors[value][:, index * self.size : (index + 1) * self.size]
        return pack_array(part, 8) if part.size else (1 << 8 * self.rows * self.size) - 1

    def scale(self, slot):
        known = self.key_slot <= slot <= self.key_slot + 1
        return pack_array(self.scales[slot - self.key_slot] if known else np.full(self.rows, 0xDEADBEEF), 32)

    def records(self, slots, count):
        """Drives rows with these slots; rows past `count` are zero."""
        table = np.frombuffer(self.rng.bytes(ROW_BYTES * self.rows), ROW).copy()
        table["slot"], table["token"] = slots, self.rng.permutation(1000)[: self.rows]
        table[count:] = np.zeros(1, ROW)
        self.pin("table").value, self.pin("count").value = table_word(table), count
        return table

    def expected(self, value, dim, count):
        """Bytes of all rows' records, as docs/program.md describes them."""
        layout = KvLayout(layers=1, kv_heads=1, head_dim=dim, context=8, beat_bytes=self.size)
        raw = b""
        for row in range(count):
            record = self.vectors[value][row, : layout.padded_dim].tobytes()
            if not value:
                record += self.scales[:, row].astype("<u4").tobytes()
                record += bytes(layout.key_record - len(record))
            raw += record
        return raw, layout.value_record if value else layout.key_record

    def command(self, move, value, record):
        return move | value << 1 | record << 2 | self.region << 18


@cocotb.test()
@cocotb.parametrize(name=list(STORES), traffic=list(TRAFFIC))
async def stores(dut, name, traffic):
    """Keys and values of one, two and three beats, all counts of rows."""
    await start(dut, name)
    unit = Store(dut, name)
    for count in range(unit.rows, 0, -1):
        slot = int(unit.rng.integers(1 << 15))
        unit.records(np.arange(slot, slot + unit.rows), count)
        dim = unit.size * (1 + count % 3)
        for value in (0, 1):
            raw, record = unit.expected(value, dim, count)
            recorder = Recorder(dut, name, ["done", "bad_row", "write_idle"])
            result = await exchange_all(
                dut,
                name,
                {"command": [unit.command(0, value, record)], "i": []},
                {"write_request": 1, "read_request": 0, "o": len(raw) // unit.size},
                traffic=traffic,
                linger=LINGER,
            )
            recorder.stop()
            got = writes_of(result["write_request"].payloads, result.o.payloads, unit.size)
            assert got == {unit.base + unit.region + slot * record: raw}, (
                f"value {value}, {dim} columns, {count} rows"
            )
            (done,) = recorder.cycles("done")
            assert done > result.o.cycles[-1] and done == recorder["write_idle"].index(
                1, result.o.cycles[-1] + 1
            )
            assert recorder.cycles("bad_row") == []
            if traffic == "flat out":
                assert {b - a for a, b in zip(result.o.cycles, result.o.cycles[1:], strict=False)} <= {2}


@cocotb.test()
@cocotb.parametrize(name=["store_odd", "store_wide"])
async def slots_must_follow(dut, name):
    """A gap, a step back and so on, also in the last row: one pulse. Rows past the count do not matter."""
    await start(dut, name)
    unit = Store(dut, name)
    good = np.arange(100, 100 + unit.rows)
    for change, row in ((1, 1), (-1, 1), (-2, unit.rows - 1), (1 << 20, unit.rows - 1), (0, 0)):
        slots = good.copy()
        slots[row] += change
        for count in (unit.rows, row):
            if not count:
                continue
            unit.records(slots, count)
            raw, record = unit.expected(1, unit.size, count)
            recorder = Recorder(dut, name, ["bad_row"])
            await exchange_all(
                dut,
                name,
                {"command": [unit.command(0, 1, record)]},
                {"write_request": 1, "o": len(raw) // unit.size},
                traffic="flat out",
                linger=LINGER,
            )
            recorder.stop()
            assert len(recorder.cycles("bad_row")) == (count > row and change != 0), (
                f"row {row} {change:+}, {count} rows"
            )


@cocotb.test()
@cocotb.parametrize(name=list(STORES), traffic=list(TRAFFIC))
async def moves(dut, name, traffic):
    """Records are copied one by one: each read follows the write before it, which may be its source."""
    await start(dut, name)
    unit = Store(dut, name)
    for count in {unit.rows, 1}:
        table = unit.records(unit.rng.permutation(500)[: unit.rows], count)
        beats = 1 + count % 3
        record = beats * unit.size
        raws = [unit.rng.bytes(record) for _ in range(count)]
        words = beats_of(b"".join(raws), unit.size)
        recorder = Recorder(dut, name, ["done", "bad_row", "write_idle"])
        result = await exchange_all(
            dut,
            name,
            {"command": [unit.command(1, count % 2, record)], "i": words},
            {"write_request": count, "read_request": count, "o": len(words)},
            traffic=traffic,
            linger=LINGER,
        )
        recorder.stop()
        at = [unit.base + unit.region + int(slot) * record for slot in table["slot"]]
        source = [unit.base + unit.region + int(slot) * record for slot in table["token"]]
        assert result["read_request"].payloads == [address | beats << 64 for address in source[:count]]
        got = writes_of(result["write_request"].payloads, result.o.payloads, unit.size)
        assert got == dict(zip(at[:count], raws, strict=True)) and list(got) == at[:count]
        for row in range(1, count):
            before = result.o.cycles[row * beats - 1]
            assert any(recorder["write_idle"][before + 1 : result["read_request"].cycles[row]]), (
                "read before it is written"
            )
        (done,) = recorder.cycles("done")
        assert done == recorder["write_idle"].index(1, result.o.cycles[-1] + 1)
        assert recorder.cycles("bad_row") == []


@cocotb.test()
@cocotb.parametrize(name=list(RESULTS), traffic=list(TRAFFIC))
async def results(dut, name, traffic):
    """One write of all rows' candidates, padded to whole beats; again at once after `done`."""
    await start(dut, name)
    rows, k, size = (RESULTS[name][key] for key in ("rows", "k", "beat_bytes"))
    rng = np.random.default_rng([SEED, *map(ord, name)])
    cocotb.start_soon(acknowledge(dut, name, "request"))
    stride = -(-8 * k // size) * size
    for count in (rows, 1, (rows + 1) // 2):
        table = np.frombuffer(rng.bytes(8 * rows * k), RESULT).reshape(rows, k)
        table = table.copy()
        table["index"][0, -1] = 0xFFFFFFFF
        base = int(rng.integers(1 << 40)) << 6
        for port, value in (
            ("best_index", pack_array(table["index"], 32)),
            ("best_logit", pack_array(table["logit"].view(np.uint32), 32)),
            ("base", base),
            ("count", count),
        ):
            getattr(dut, f"{name}__{port}").value = value
        raw = b"".join(table[row].tobytes() + bytes(stride - 8 * k) for row in range(count))
        await pulse(dut, name, "start")
        recorder = Recorder(dut, name, ["done", "write_idle"])
        result = await exchange_all(
            dut, name, {}, {"request": 1, "o": len(raw) // size}, traffic=traffic, linger=LINGER
        )
        recorder.stop()
        assert writes_of(result["request"].payloads, result.o.payloads, size) == {base: raw}
        (done,) = recorder.cycles("done")
        assert done == recorder["write_idle"].index(1, result.o.cycles[-1] + 1)
        if traffic == "flat out":
            beats = stride // size
            first = result["request"].cycles[0] + 2
            assert result.o.cycles == [
                first + row * (beats + 1) + beat for row in range(count) for beat in range(beats)
            ]
        await RisingEdge(getattr(dut, f"{name}_clk"))
