"""Runs in the simulator; see test_attention.py."""

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from terntable.hw.attention_factors import AttentionFactors
from terntable.hw.attention_sizes import ScalePort
from terntable.hw.attention_values import AttentionValues
from terntable.hw.attention_weights import AttentionWeights
from terntable.hw.spec.layout import KvLayout
from terntable.models.golden import float32
from terntable.models.golden.attention import attention, cycles, visible
from tests.hw.bench.streams import SEED, TRAFFIC, exchange_all, pack_array, start, unpack_array
from tests.hw.bench.timing import check_flow
from tests.hw.test_attention import SETS, draw, units

UNITS = units()


def records(case, beat_bytes):
    """The beats of the key records, then of the value records."""
    slots, dim = case["key"].shape
    layout = KvLayout(layers=1, kv_heads=1, head_dim=dim, context=slots, beat_bytes=beat_bytes)
    keys = np.zeros((slots, layout.key_record), np.uint8)
    values = np.zeros((slots, layout.value_record), np.uint8)
    keys[:, :dim] = case["key"].astype(np.int8).view(np.uint8)
    values[:, :dim] = case["value"].astype(np.int8).view(np.uint8)
    scales = np.stack([case["key_scale"], case["value_scale"]], axis=1).astype("<f4")
    keys[:, layout.padded_dim:layout.padded_dim + 8] = scales.view(np.uint8)
    stream = keys.tobytes() + values.tobytes()
    return [int.from_bytes(stream[at:at + beat_bytes], "little") for at in range(0, len(stream), beat_bytes)]


class Model:
    """When attention takes beats and offers words, from what the source offered and the sink took."""

    def __init__(self, unit, accepted, offered, taken, slots, heads, dim):
        self.offered, self.heads, self.length = offered, heads, len(offered)
        self.ready, self.valid = [0] * self.length, [0] * self.length
        beats, ring = -(-dim // unit.sizes.beat_bytes), AttentionWeights(sizes=unit.sizes).DEPTH
        now = accepted + 6 + heads
        for _ in range(slots):
            for _ in range(beats - 1):
                now = self.use(now)
            now = self.use(self.use(now, steps=1))
        dot_latency = unit.signature.members["array"].signature.dot_latency
        began = now + dot_latency + ScalePort.LATENCY + 1 + AttentionFactors.INVERT_LATENCY
        made, freed = [], []
        now = began + AttentionWeights.LATENCY
        for slot in range(slots):
            for beat in range(beats):
                for head in range(heads):
                    entry = slot * heads + head
                    if beat == 0:
                        # Asked for a cycle after the one before, or after the slot that makes room.
                        waits = freed[(entry - ring) // heads] + 1 if entry >= ring else 0
                        made.append(max(made[-1] + 1 if made else now, waits + AttentionWeights.LATENCY - 1))
                    now = self.step(now, head == heads - 1, made[entry])
            freed.append(now - 1)
        divided = made[-1] - 1 + AttentionFactors.DIVIDE_LATENCY + heads * AttentionFactors.PERIOD
        output = max(now - 1 + AttentionValues.SUM_LATENCY, divided) + 1
        word = output + AttentionValues.OUTPUT_LATENCY + unit.lanes
        for _ in range(heads * dim // unit.lanes):
            while not taken[word]:
                self.valid[word] = 1
                word += 1
            self.valid[word] = 1
            self.finished = word
            word += unit.lanes

    def use(self, now, steps=0):
        """A key beat that is in use for `steps` cycles, by default one for each head."""
        for step in range(steps or self.heads):
            now = self.step(now, step == (steps or self.heads) - 1)
        return now

    def step(self, now, last, possible=0):
        """One cycle of a beat, from `possible` on; the beat goes with the last one. The cycle after."""
        while now < possible or not self.offered[now]:
            self.ready[now] = int(last and now >= possible)
            now += 1
        self.ready[now] = int(last)
        return now + 1


class Bench:
    """One instance."""

    def __init__(self, dut, name, traffic):
        self.dut, self.name, self.traffic, self.unit = dut, name, traffic, UNITS[name].attention
        self.heads, self.group = SETS[name]["max_heads"], SETS[name].get("max_group", SETS[name]["max_heads"])
        self.sizes, self.rng = self.unit.sizes, np.random.default_rng([SEED, *map(ord, name)])

    def port(self, name):
        return getattr(self.dut, f"{self.name}__{name}")

    async def load(self, case, first):
        """Write queries and scales; those of other heads are noise."""
        sizes, rng = self.sizes, self.rng
        rows, heads, dim = case["query"].shape
        scales = rng.integers(0, 2**32, (sizes.max_heads + 2, rows)).astype(np.uint32)
        scales[first:first + heads] = float32.to_bits(case["query_scale"]).T
        self.port("scales").value = pack_array(scales, 32)
        beats = -(-dim // sizes.beat_bytes)
        self.port("write_valid").value = 1
        for head in range(heads):
            for column in range(dim):
                self.port("write_column").value = (first + head) * beats * sizes.beat_bytes + column
                self.port("write_data").value = pack_array(case["query"][:, head, column], 8)
                await RisingEdge(getattr(self.dut, f"{self.name}_clk"))
        self.port("write_valid").value = 0

    async def run(self, case, prefix, mask, first=0):
        """One command: every word, every ready and valid, busy and done."""
        unit, rows = self.unit, self.sizes.rows
        _, heads, dim = case["query"].shape
        slots = len(case["key"])
        case["visible"] = visible(prefix, mask, slots)
        await self.load(case, first)
        self.port("prefix").value = pack_array(np.asarray(prefix, np.uint32), 32)
        self.port("mask").value = pack_array(np.asarray(mask, np.uint64), 64)
        command = slots | first << 16 | heads << 24 | dim << 32 | int(float32.to_bits(case["imm"])) << 48
        seen = {"busy": [], "done": []}

        async def watch():
            while True:
                await ReadOnly()
                for name, record in seen.items():
                    record.append(int(self.port(name).value))
                await RisingEdge(getattr(self.dut, f"{self.name}_clk"))

        watcher = cocotb.start_soon(watch())
        words = {"command": [command], "kv": records(case, self.sizes.beat_bytes)}
        result = await exchange_all(self.dut, self.name, words, {"o": heads * dim // unit.lanes},
                                    traffic=self.traffic)
        watcher.cancel()
        got = np.stack([unpack_array(word, 32, rows * unit.lanes) for word in result.o.payloads])
        got = got.reshape(heads, dim, rows).transpose(2, 0, 1).astype(np.uint32)
        np.testing.assert_array_equal(got, float32.to_bits(attention(**case)))

        accepted, kv, o = result["command"].cycles[0], result["kv"], result.o
        model = Model(unit, accepted, kv.valid, o.ready, slots, heads, dim)
        check_flow("kv.ready", kv.ready, model.ready)
        check_flow("o.valid", o.valid, model.valid)
        span = range(len(o.valid))
        busy = [int(accepted < now <= model.finished) for now in span]
        check_flow("command.ready", result["command"].ready, [1 - now for now in busy])
        check_flow("busy", seen["busy"][:len(span)], busy)
        check_flow("done", seen["done"][:len(span)], [int(now == model.finished + 1) for now in span])
        if self.traffic == "flat out":
            took = seen["done"].index(1) - accepted
            assert took == cycles(slots=slots, heads=heads, head_dim=dim, beat_bytes=self.sizes.beat_bytes,
                                  max_group=self.group)


def rounded(value, lanes):
    return max(lanes, value // lanes * lanes)


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def matches(dut, name, traffic):
    """Least and largest command, then random ones, with no reset between them."""
    await start(dut, name)
    bench = Bench(dut, name, traffic)
    rng, sizes, lanes = bench.rng, bench.sizes, bench.unit.lanes
    largest = rounded(SETS[name]["max_head_dim"], lanes)

    def see(slots):
        prefix = rng.integers(0, slots + 1, sizes.rows)
        return prefix, rng.integers(0, 2**64 - 1, sizes.rows, np.uint64)

    # Nothing to see for the first row, far past the end for the last.
    case = draw(rng, sizes.rows, 1, lanes, 1)
    await bench.run(case, [0] * sizes.rows, [0] * sizes.rows, first=bench.heads - 1)

    # Extremes of every integer, and a visible INVALID.
    case = draw(rng, sizes.rows, bench.group, largest, 5)
    case["query"][:], case["key"][:], case["value"][:] = -128, -128, -128
    await bench.run(case, [2**32 - 1] * sizes.rows, [0] * sizes.rows)
    case["key_scale"][4] = np.nan
    await bench.run(case, [4] * sizes.rows, [0] * (sizes.rows - 1) + [1])

    # One beat a record and the most slots, where the ring of weights is busiest.
    for heads, dim, slots in ((bench.group, rounded(sizes.beat_bytes, lanes), sizes.max_context),
                              (1, largest, sizes.max_context // 2)):
        dim = min(dim, largest)
        case = draw(rng, sizes.rows, heads, dim, slots)
        await bench.run(case, *see(slots), first=int(rng.integers(bench.heads - heads + 1)))
