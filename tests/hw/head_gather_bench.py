"""Runs in the simulator; see test_head_gather.py."""

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from terntable.hw.head_gather import HeadGather
from terntable.models.golden.head import words
from terntable.models.golden.topk import UNUSED
from tests.hw.bench.streams import SEED, TRAFFIC, exchange_all, start
from tests.hw.port_models import Recorder, pulse
from tests.hw.test_head_gather import SETS


class Bench:
    """One unit, the whole head in memory, and the lists."""

    def __init__(self, dut, name):
        self.dut, self.name, self.sizes = dut, name, SETS[name]
        self.rng = np.random.default_rng([SEED, *map(ord, name)])
        self.chosen = np.zeros((self.sizes["rows"], self.sizes["beat_bytes"]), np.int64)
        cocotb.start_soon(self.lists())

    def pin(self, port):
        return getattr(self.dut, f"{self.name}__{port}")

    async def lists(self):
        """The entry of a row and place a cycle later."""
        edge = RisingEdge(getattr(self.dut, f"{self.name}_clk"))
        while True:
            await ReadOnly()
            row, place = int(self.pin("row").value), int(self.pin("place").value)
            await edge
            self.pin("candidate").value = int(self.chosen[row, place]) if row < len(self.chosen) else UNUSED

    async def run(self, vocab, inputs, count, traffic):
        """One gathering: its requests, its words, and what it knows of each logit."""
        rng, sizes, size = self.rng, self.sizes, self.sizes["beat_bytes"]
        weight = rng.integers(-128, 128, (vocab, inputs)).astype(np.int8)
        scale = rng.uniform(0.5, 2, vocab).astype(np.float32)
        self.chosen = np.full((sizes["rows"], size), UNUSED)
        for row in self.chosen:
            some = rng.permutation(vocab)[:size]
            row[:len(some)] = some
        self.chosen[0, 0] = vocab - 1
        base = int(rng.integers(1, 1 << 20)) << 32 | (0xFFFFF000 if self.name == "odd" else size)
        for port, value in (("count", count), ("inputs", inputs), ("base", base)):
            self.pin(port).value = value
        whole = words(weight, scale, size).reshape(-1, size)
        column_words = -(-inputs // size)

        def beats(v):
            """Places of a vocabulary row's scale and columns, in wide beats of the head."""
            first = v // size * (4 + column_words * size)
            return [first + v % size * 4 // size, *(first + 4 + w * size + v % size for w in range(column_words))]

        rows = np.where(self.chosen == UNUSED, 0, self.chosen)[:count]
        places = [beats(v)[part] for row in rows for part in range(1 + column_words) for v in row.tolist()]
        expected = [int.from_bytes(word.tobytes(), "little")
                    for row in rows for word in words(weight[row], scale[row], size)]
        await pulse(self.dut, self.name, "start")
        recorder = Recorder(self.dut, self.name, ["request__valid"])
        data = [int.from_bytes(whole[place].tobytes(), "little") for place in places]
        result = await exchange_all(self.dut, self.name, {"i": data}, {"request": len(places), "o": len(expected)},
                                    traffic=traffic, linger=12, limit=60)
        recorder.stop()
        assert result["request"].payloads == [base + place * size & (1 << 64) - 1 | 1 << 64 for place in places]
        assert result.o.payloads == expected
        if traffic == "flat out":
            assert recorder.cycles("request__valid")[0] == HeadGather.LATENCY - 1
        for n, v in enumerate(self.chosen[:count].ravel().tolist()):
            self.pin("logit").value = n
            await RisingEdge(getattr(self.dut, f"{self.name}_clk"))
            await ReadOnly()
            assert int(self.pin("used").value) == (v != UNUSED)
            assert v == UNUSED or int(self.pin("index").value) == v
            await RisingEdge(getattr(self.dut, f"{self.name}_clk"))
        # No beat is taken that nothing was asked for.
        assert len(result["i"].cycles) == len(places)
        asked, came = result["request"].cycles, result["i"].cycles
        assert all(ask < come for ask, come in zip(asked, came, strict=True))
        ahead = [n + 1 - sum(come < ask for come in came) for n, ask in enumerate(asked)]
        assert max(ahead) <= sizes.get("depth", 64)


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def gathers(dut, name, traffic):
    """One column and the most, one row and all, vocabularies smaller than a list, of many blocks and of the most."""
    await start(dut, name)
    bench, sizes = Bench(dut, name), SETS[name]
    size, rows = sizes["beat_bytes"], sizes["rows"]
    most = (1 << sizes["index_bits"]) - 1
    for vocab, inputs, count in ((3, 1, 1), (5 * size + 3, sizes["max_hidden"], rows), (size, size, rows),
                                 (min(most, 30_000), min(size + 1, sizes["max_hidden"]), 1)):
        if traffic == "flat out" or vocab * inputs < 200_000:
            await bench.run(vocab, inputs, count, traffic)
