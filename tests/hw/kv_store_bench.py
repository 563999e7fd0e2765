"""Runs in the simulator; see test_kv_store.py."""

import cocotb
import numpy as np

from terntable.hw.kv_store import KvStore
from terntable.hw.spec.layout import KvLayout
from terntable.hw.spec.program import ROW, ROW_BYTES
from tests.hw.bench.streams import SEED, TRAFFIC, exchange_all, pack_array, start
from tests.hw.port_models import Recorder, acknowledge, serve, table_word, writes_of
from tests.hw.test_kv_store import RECORDS, SETS

#: Cycles for the acknowledgement that follows the last beat.
LINGER = 12


class Store:
    """A store unit with its buffers; `region` lies at an offset from the cache's base."""

    def __init__(self, dut, name):
        self.dut, self.name = dut, name
        self.rows, self.size, self.port, self.first_slot, self.most = SETS[name].values()
        self.rng = np.random.default_rng([SEED, *map(ord, name)])
        self.base, self.region = int(self.rng.integers(1 << 34)) << 6, int(self.rng.integers(1 << 25)) << 6
        self.fill(*RECORDS[name][0])
        self.pin("kv_base").value = self.base
        cocotb.start_soon(serve(dut, name, "read_word", "read_data", self.word, choice="value"))
        cocotb.start_soon(serve(dut, name, "scale_slot", "scale_data", self.scale))
        cocotb.start_soon(acknowledge(dut, name, "write_request"))

    def pin(self, port):
        return getattr(self.dut, f"{self.name}__{port}")

    def fill(self, dim, pack):
        """New vectors of `pack` heads: zeros to the end of the port's beat, beyond it what an earlier record left."""
        self.columns = pack * dim
        self.vectors = self.rng.integers(-128, 128, (2, self.rows, self.most + self.port)).astype(np.int8)
        self.vectors[..., self.columns:-(-self.columns // self.port) * self.port] = 0
        self.scales = self.rng.integers(0, 1 << 32, (4, self.rows)).astype(np.uint32)
        return KvLayout(layers=1, heads=pack, kv_heads=pack, head_dim=dim, context=int(self.rng.integers(16, 4096)),
                        beat_bytes=self.size, port_bytes=self.port)

    def word(self, index, value):
        """A word of the KEY or VALUE buffer."""
        return pack_array(self.vectors[value][:, index * self.port:(index + 1) * self.port], 8)

    def scale(self, slot):
        known = self.first_slot <= slot < self.first_slot + 4
        return pack_array(self.scales[slot - self.first_slot] if known else np.full(self.rows, 0xDEADBEEF), 32)

    def records(self, slots, count):
        """Drives rows with these slots; rows past `count` are zero."""
        table = np.frombuffer(self.rng.bytes(ROW_BYTES * self.rows), ROW).copy()
        table["slot"], table["token"] = slots, self.rng.permutation(1000)[:self.rows]
        table[count:] = np.zeros(1, ROW)
        self.pin("table").value, self.pin("count").value = table_word(table), count
        return table

    def expected(self, layout, slot, count):
        """(address, bytes) of each write."""
        start, writes = self.base + self.region, []
        for value in range(2):
            vectors = np.zeros((count, layout.planes * self.size), np.int8)
            vectors[:, :self.columns] = self.vectors[value, :count, :self.columns]
            for plane in range(layout.planes):
                at = start + (value * layout.planes + plane) * layout.plane_stride + slot * self.size
                writes.append((at, vectors[:, plane * self.size:(plane + 1) * self.size].tobytes()))
        entries = np.zeros((count, layout.entry // 4), np.uint32)
        entries[:, :2 * layout.pack] = self.scales[:2 * layout.pack, :count].T
        return [*writes, (start + layout.scales_offset + slot * layout.entry, entries.tobytes())]

    def command(self, move, dim, pack=0, stride=0):
        return move | pack << 1 | dim << 3 | self.region << 19 | stride << 51


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def stores(dut, name, traffic):
    """Records of all kinds one after another, all counts of rows: keys, values, scales, each write where it belongs."""
    await start(dut, name)
    unit = Store(dut, name)
    for case, (dim, pack) in enumerate(RECORDS[name]):
        layout, count, slot = unit.fill(dim, pack), unit.rows - case % unit.rows, int(unit.rng.integers(1 << 15))
        assert layout.pack == pack and layout.planes * unit.size <= max(unit.most, unit.size)
        unit.records(np.arange(slot, slot + unit.rows), count)
        wanted = unit.expected(layout, slot, count)
        recorder = Recorder(dut, name, ["done", "bad_row", "write_idle"])
        result = await exchange_all(
            dut, name, {"command": [unit.command(0, dim, pack, layout.plane_stride)], "i": []},
            {"write_request": len(wanted), "read_request": 0, "o": sum(len(raw) for _, raw in wanted) // unit.port},
            traffic=traffic, linger=LINGER)
        recorder.stop()
        got = writes_of(result["write_request"].payloads, result.o.payloads, unit.port)
        assert list(got.items()) == wanted, f"{pack} x {dim} columns, {count} rows"
        (done,) = recorder.cycles("done")
        assert done == recorder["write_idle"].index(1, result.o.cycles[-1] + 1)
        assert recorder.cycles("bad_row") == []
        if traffic == "flat out":
            check_cycles(unit, layout, count, result)


def check_cycles(unit, layout, count, result):
    """Requests and beats come when the unit says."""
    now, beats = result["command"].cycles[0] + KvStore(**SETS[unit.name]).latency, iter(result.o.cycles)
    for asked in result["write_request"].cycles[:-1]:
        assert asked == now
        parts = count * unit.size // unit.port
        assert [next(beats) for _ in range(parts)] == list(range(asked + 3, asked + 3 + parts))
        now += parts + 3
    assert result["write_request"].cycles[-1] == now
    parts = layout.entry // unit.port
    for row in range(count):
        assert [next(beats) for _ in range(parts)] == [now + 8 + row * (parts + 5) + part for part in range(parts)]
    assert next(beats, None) is None


@cocotb.test()
@cocotb.parametrize(name=["narrow", "odd", "wide"])
async def slots_must_follow(dut, name):
    """A gap, a step back and so on, also in the last row: one pulse. Rows past the count do not matter."""
    await start(dut, name)
    unit = Store(dut, name)
    good = np.arange(100, 100 + unit.rows)
    layout = unit.fill(unit.size, 1)
    for change, row in ((1, 1), (-1, 1), (-2, unit.rows - 1), (1 << 20, unit.rows - 1), (0, 0)):
        slots = good.copy()
        slots[row] += change
        for count in (unit.rows, row):
            if not count:
                continue
            unit.records(slots, count)
            recorder = Recorder(dut, name, ["bad_row"])
            await exchange_all(
                dut, name, {"command": [unit.command(0, unit.size, 1, layout.plane_stride)]},
                {"write_request": 3, "o": count * (2 * unit.size + layout.entry) // unit.port}, traffic="flat out", linger=LINGER)
            recorder.stop()
            assert len(recorder.cycles("bad_row")) == (count > row and change != 0), f"row {row} {change:+}, {count} rows"


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def moves(dut, name, traffic):
    """Wide beats, then entries: slots are copied one by one, each read after the write before it, which may be its source."""
    await start(dut, name)
    unit = Store(dut, name)
    for size, count in ((unit.size, unit.rows), (max(8, unit.port), unit.rows), (max(16, unit.port), max(1, unit.rows - 1))):
        table = unit.records(unit.rng.permutation(500)[:unit.rows], count)[:count]
        source, at = ([unit.base + unit.region + int(slot) * size for slot in table[field]] for field in ("token", "slot"))
        read = -(-size // unit.size)                      # wide beats of a slot
        around = [unit.rng.bytes(read * unit.size) for _ in range(count)]
        words = [int.from_bytes(raw[n * unit.size:(n + 1) * unit.size], "little") for raw in around for n in range(read)]
        raws = [raw[address % unit.size:][:size] for raw, address in zip(around, source, strict=True)]
        recorder = Recorder(dut, name, ["done", "bad_row", "write_idle"])
        result = await exchange_all(
            dut, name, {"command": [unit.command(1, size)], "i": words},
            {"write_request": count, "read_request": count, "o": count * size // unit.port}, traffic=traffic, linger=LINGER)
        recorder.stop()
        assert result["read_request"].payloads == [address // unit.size * unit.size | read << 64 for address in source]
        got = writes_of(result["write_request"].payloads, result.o.payloads, unit.port)
        assert list(got.items()) == list(zip(at, raws, strict=True)), f"{count} moves of {size} bytes"
        for row in range(1, count):
            before = result.o.cycles[row * size // unit.port - 1]
            assert any(recorder["write_idle"][before + 1:result["read_request"].cycles[row]]), "read before it is written"
        (done,) = recorder.cycles("done")
        assert done == recorder["write_idle"].index(1, result.o.cycles[-1] + 1)
        assert recorder.cycles("bad_row") == []
