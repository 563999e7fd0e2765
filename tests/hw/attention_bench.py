"""Runs in the simulator; see test_attention.py."""

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from terntable.models.golden import float32
from terntable.models.golden.attention import attention, visible
from terntable.models.golden.attention_cycles import Timeline, cycles
from tests.hw.bench.streams import RARE, SEED, TRAFFIC, exchange_all, pack_array, start, unpack_array
from tests.hw.bench.timing import check_flow
from tests.hw.test_attention import RECORDS, SETS, draw, timing


def beats(cases, beat_bytes, port_bytes):
    """The beats of a record: scales, key planes, value planes."""
    pack, (slots, dim) = len(cases), cases[0]["key"].shape
    entries = np.zeros((slots, max(8 * pack, port_bytes) // 4), "<f4")
    for head, case in enumerate(cases):
        entries[:, 2 * head], entries[:, 2 * head + 1] = case["key_scale"], case["value_scale"]
    stream = entries.tobytes()
    stream += bytes(-len(stream) % beat_bytes)
    for name in ("key", "value"):
        vectors = np.concatenate([case[name] for case in cases], axis=1).astype(np.int8)
        padded = np.pad(vectors, ((0, 0), (0, -pack * dim % beat_bytes)))
        stream += padded.reshape(slots, -1, beat_bytes).transpose(1, 0, 2).tobytes()
    return [int.from_bytes(stream[at:at + beat_bytes], "little") for at in range(0, len(stream), beat_bytes)]


class Bench:
    """One instance."""

    def __init__(self, dut, name, traffic):
        self.dut, self.name, self.traffic, self.sizes = dut, name, traffic, SETS[name]
        self.timing = timing(**self.sizes)
        self.rng = np.random.default_rng([SEED, *map(ord, name)])

    def port(self, name):
        return getattr(self.dut, f"{self.name}__{name}")

    async def load(self, cases, slot, word):
        """Write queries and scales; those of other heads are noise."""
        sizes, rng = self.sizes, self.rng
        rows, lanes = sizes["rows"], sizes["lanes"]
        scales = rng.integers(0, 2**32, (sizes["scale_slots"], rows)).astype(np.uint32)
        for head, case in enumerate(cases):
            scales[slot + head] = float32.to_bits(case["query_scale"][:, 0])
        self.port("scales").value = pack_array(scales, 32)
        columns = np.concatenate([case["query"][:, 0] for case in cases], axis=1)
        columns = np.pad(columns, ((0, 0), (0, -columns.shape[1] % sizes["beat_bytes"])), constant_values=77)
        self.port("write_rows").value = (1 << rows) - 1
        for at, group in enumerate(columns.T.reshape(-1, lanes, rows)):
            self.port("write_address").value = word + at
            self.port("write_data").value = pack_array(group, 8)
            await RisingEdge(getattr(self.dut, f"{self.name}_clk"))
        self.port("write_rows").value = 0

    async def run(self, cases, prefix, mask, slot=0, word=0):
        """One command: every word, busy and done, and how long it took."""
        rows, lanes = self.sizes["rows"], self.sizes["lanes"]
        slots, dim = cases[0]["key"].shape
        for case in cases:
            case["visible"] = visible(prefix, mask, slots)
        await self.load(cases, slot, word)
        self.port("prefix").value = pack_array(np.asarray(prefix, np.uint32), 32)
        self.port("mask").value = pack_array(np.asarray(mask, np.uint64), 64)
        imm = int(float32.to_bits(cases[0]["imm"]))
        command = slots | slot << 16 | len(cases) << 24 | dim << 26 | word << 42 | imm << 58
        seen = {"busy": [], "done": [], "wait_data": []}

        async def watch():
            while True:
                await ReadOnly()
                for name, record in seen.items():
                    record.append(int(self.port(name).value))
                await RisingEdge(getattr(self.dut, f"{self.name}_clk"))

        watcher = cocotb.start_soon(watch())
        words = {"command": [command], "kv": beats(cases, self.sizes["beat_bytes"], self.sizes["port_bytes"])}
        # Accumulators behind the last column are emptied after the last word.
        result = await exchange_all(self.dut, self.name, words, {"o": len(cases) * dim // lanes}, traffic=self.traffic, limit=100,
                                    linger=self.sizes["beat_bytes"] // lanes + 4)
        watcher.cancel()
        got = np.stack([unpack_array(word, 32, rows * lanes) for word in result.o.payloads])
        got = got.reshape(len(cases), dim, rows).transpose(2, 0, 1).astype(np.uint32)
        for head, case in enumerate(cases):
            np.testing.assert_array_equal(got[:, head], float32.to_bits(attention(**case))[:, 0], err_msg=f"head {head}")
        accepted, kv, o = result["command"].cycles[0], result["kv"], result.o
        shape = {"slots": slots, "pack": len(cases), "head_dim": dim, "lanes": lanes, "timing": self.timing,
                 "beat_bytes": self.sizes["beat_bytes"], "port_bytes": self.sizes["port_bytes"]}
        model = Timeline(**shape, offered=kv.valid[accepted:], taken=o.ready[accepted:])
        span = range(len(o.valid))
        check_flow("kv.ready", kv.ready, [int(now - accepted in model.ready) for now in span])
        check_flow("o.valid", o.valid, [int(now - accepted in model.valid) for now in span])
        busy = [int(0 < now - accepted <= model.finished) for now in span]
        check_flow("command.ready", result["command"].ready, [1 - now for now in busy])
        check_flow("busy", seen["busy"][:len(span)], busy)
        check_flow("done", seen["done"][:len(span)], [int(now - accepted == model.finished + 1) for now in span])
        check_flow("wait_data", seen["wait_data"][:len(span)], [a & ~b for a, b in zip(kv.ready, kv.valid, strict=True)])
        # The recording may end with the last word, one cycle too early.
        if self.traffic == "flat out" and 1 in seen["done"]:
            assert seen["done"].index(1) - accepted == cycles(**shape)


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC | RARE))
async def matches(dut, name, traffic):
    """Least command, extremes and INVALID scales, then every kind of record; no reset between them."""
    await start(dut, name)
    bench = Bench(dut, name, traffic)
    rng, sizes, rows = bench.rng, bench.sizes, bench.sizes["rows"]

    def some(pack, dim, slots):
        return [draw(rng, rows, 1, dim, slots) for _ in range(pack)]

    # Nothing to see for any row; then far past the end.
    size, longest = sizes["beat_bytes"], sizes["max_head_dim"]
    await bench.run(some(1, sizes["lanes"], 1), [0] * rows, [0] * rows, slot=sizes["scale_slots"] - 1)
    cases = some(2, size // 2, 1)
    await bench.run(cases, [2**32 - 1] * rows, [0] * rows)

    # Extremes of every integer; a key scale, then a value scale that only the last row sees is INVALID.
    cases = some(1, longest, 5)
    for case in cases:
        case["query"][:], case["key"][:], case["value"][:] = -128, -128, -128
    await bench.run(cases, [5] * rows, [0] * rows)
    cases = some(2, longest // size * size - size // 2, 5)
    for head, scales in enumerate(("key_scale", "value_scale")):
        cases[head][scales][4] = np.nan
        await bench.run(cases, [4] * rows, [0] * (rows - 1) + [1])

    for pack, dim, slots in RECORDS[name]:
        prefix = rng.integers(0, slots + 1, rows)
        prefix[0] = max(0, slots - 3)
        words = -(-pack * dim // size) * size // sizes["lanes"]
        await bench.run(some(pack, dim, slots), prefix, rng.integers(0, 2**64 - 1, rows, np.uint64),
                        slot=int(rng.integers(sizes["scale_slots"] - pack + 1)),
                        word=int(rng.integers(sizes["query_words"] - words + 1)))
