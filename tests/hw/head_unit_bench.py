"""Runs in the simulator; see test_head_unit.py."""

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from terntable.hw.head_unit import WRITE_BLOCK, HeadKind
from terntable.hw.spec.layout import logits_stride, result_stride, shortlist_outputs, shortlist_size
from terntable.hw.spec.program import RowFlag
from terntable.models.golden.float_bits import to_bits
from terntable.models.golden.head import logits, words
from terntable.models.golden.shortlist import best_of, scores
from terntable.models.golden.topk import topk
from tests.hw.bench.streams import SEED, TRAFFIC, exchange_all, pack_array, start
from tests.hw.port_models import Recorder, acknowledge, beats_of, serve, writes_of
from tests.hw.test_head_unit import SETS, SUM_BITS


class Bench:
    """One unit, its activations, and where its results go."""

    def __init__(self, dut, name):
        self.dut, self.name, self.config = dut, name, SETS[name]
        self.rng = np.random.default_rng([SEED, *map(ord, name)])
        self.act = np.zeros((self.config.rows, 0), np.int16)
        cocotb.start_soon(serve(dut, name, "act_address", "act_data", self.word))
        cocotb.start_soon(acknowledge(dut, name, "request"))

    def pin(self, port):
        return getattr(self.dut, f"{self.name}__{port}")

    def word(self, index):
        lanes = self.config.lanes
        part = self.act[:, index * lanes:(index + 1) * lanes]
        return pack_array(np.pad(part, ((0, 0), (0, lanes - part.shape[1])), constant_values=77).T, 16)

    async def run(self, inputs, vocab, count, flags, traffic, large=False):
        """One command; every byte that it writes. With `large`, a logit of a row in use overflows."""
        config, rng = self.config, self.rng
        rows, size, k = config.rows, config.port_bytes, config.top_k
        self.act = rng.integers(-32768, 32768, (rows, inputs)).astype(np.int16)
        weight = rng.integers(-128, 128, (vocab, inputs)).astype(np.int8)
        # Equal rows make ties.
        weight[vocab // 2:] = weight[:vocab - vocab // 2]
        scale = np.full(vocab, 0.01, np.float32)
        d = (10 ** rng.uniform(-6, 0, rows)).astype(np.float32)
        if large:
            scale[-1], d[0], self.act[0], weight[-1] = 1e38, 1, 32767, 127
        flags = [*flags[:count], *[0] * (rows - count)]
        result_base, logits_base = (int(base) << 6 for base in rng.permutation(1 << 20)[:2] + (1 << 32))
        for port, value in (("d", pack_array(to_bits(d), 32)), ("count", count), ("flags", pack_array(np.array(flags), 3)),
                            ("result_base", result_base), ("logits_base", logits_base)):
            self.pin(port).value = value
        values, stride = logits(self.act, weight, scale, d), logits_stride(vocab, config)
        records = topk(values[:count], k)
        expected = {
            result_base + r * result_stride(config) + n: byte
            for r in range(count)
            for n, byte in enumerate(records[r].tobytes().ljust(result_stride(config), b"\0"))
        }
        for row in (r for r in range(count) if flags[r] & RowFlag.LOGITS):
            raw = to_bits(values[row]).astype("<u4").tobytes().ljust(stride, b"\0")
            expected.update({logits_base + row * stride + n: byte for n, byte in enumerate(raw)})
        stream = [int.from_bytes(word.tobytes(), "little") for word in words(weight, scale, config.beat_bytes)]
        blocks = -(-stride // (4 * WRITE_BLOCK)) * sum(bool(flag & RowFlag.LOGITS) for flag in flags)
        recorder = Recorder(self.dut, self.name, ["done", "invalid", "write_idle"])
        result = await exchange_all(self.dut, self.name, {"command": [vocab | inputs << 32], "weights": stream},
                                    {"request": blocks + 1, "o": len(expected) // size}, traffic=traffic, linger=12)
        recorder.stop()
        got = {}
        for address, raw in writes_of(result["request"].payloads, result.o.payloads, size).items():
            assert not any(address + n in got for n in range(len(raw)))
            got.update({address + n: byte for n, byte in enumerate(raw)})
        assert got == expected, f"{inputs} x {vocab}, {count} rows, flags {flags}"
        assert result["request"].payloads[-1] & ((1 << 64) - 1) == result_base, "results before the logits"
        (done,) = recorder.cycles("done")
        assert done == recorder["write_idle"].index(1, result.o.cycles[-1] + 1)
        assert any(recorder["invalid"]) == large

    async def memory(self, base, words, traffic):
        """Wide beats from `base` on, in the order in which they are asked for; counts them. An offered beat stays."""
        edge, size, rng = RisingEdge(getattr(self.dut, f"{self.name}_clk")), self.config.beat_bytes, np.random.default_rng(SEED)
        queue, offering = [], False
        self.pin("read_request__ready").value = 1
        while True:
            offering = offering or bool(queue) and (traffic == "flat out" or rng.random() < 0.5)
            self.pin("reads__valid").value = int(offering)
            self.pin("reads__payload").value = queue[0] if offering else 0
            await ReadOnly()
            asked, request = int(self.pin("read_request__valid").value), int(self.pin("read_request__payload").value)
            taken = offering and int(self.pin("reads__ready").value)
            await edge
            if taken:
                queue.pop(0)
                offering = False
            if asked:
                first, count = (request & (1 << 64) - 1) - base, request >> 64
                assert first % size == 0 and 0 <= first // size <= len(words) - count, "a read outside"
                queue += words[first // size:first // size + count]
                self.read += count

    async def two_stages(self, inputs, vocab, count, traffic, large=None):
        """A shortlist, then its candidates; every byte that they write. A score or a logit of `large` overflows."""
        config, rng, size = self.config, self.rng, self.config.beat_bytes
        rows, k, listed = config.rows, config.top_k, shortlist_size(config)
        self.act = rng.integers(-32768, 32768, (rows, inputs)).astype(np.int16)
        weight = rng.integers(-128, 128, (vocab, inputs)).astype(np.int8)
        # Equal rows make ties among logits, few sums make them among scores.
        weight[vocab // 2:] = weight[:vocab - vocab // 2]
        scale, factor = np.full(vocab, 0.01, np.float32), rng.choice(np.float32([0.5, 1, 2]), vocab)
        outputs = shortlist_outputs(vocab, config)
        sums = rng.integers(-50, 50, (rows, outputs)).astype(np.int32)
        sums[:, vocab:] = (1 << SUM_BITS - 1) - 1
        d = (10 ** rng.uniform(-6, 0, rows)).astype(np.float32)
        if rows > 1 and count > 1:
            # Scores that took part in this scale would all be zero; logits, which do, are.
            d[1] = 1e-38
        if large == "score":
            factor[-1], sums[0, vocab - 1] = 3e38, 100
        if large == "logit":
            scale[-1], d[0], self.act[0], weight[-1], sums[:, vocab - 1] = 1e38, 1, 32767, 127, 1 << SUM_BITS - 2
        result_base = int(rng.integers(1 << 32, 1 << 33)) << 6
        head_base, scales_base = 1 << 40, (1 << 40) + (1 << 30)
        for port, value in (("d", pack_array(to_bits(d), 32)), ("count", count), ("result_base", result_base),
                            ("flags", pack_array(np.array([int(RowFlag.TOP_K)] * rows), 3)),
                            ("head_base", head_base), ("scales_base", scales_base)):
            self.pin(port).value = value
        candidates = topk(scores(sums[:count, :vocab], factor), listed)["index"]
        best, _ = best_of(candidates, self.act[:count], weight, scale, d[:count], k)
        expected = {result_base + r * result_stride(config) + n: byte for r in range(count)
                    for n, byte in enumerate(best[r].tobytes().ljust(result_stride(config), b"\0"))}

        recorder = Recorder(self.dut, self.name, ["done", "invalid", "weights__ready"])
        self.read = 0
        beats = beats_of(np.pad(factor, (0, outputs - vocab), constant_values=np.nan).astype("<f4").tobytes(), size)
        task = cocotb.start_soon(self.memory(scales_base, beats, traffic))
        partial = [pack_array(sums[:, at:at + config.outputs].T, SUM_BITS) for at in range(0, outputs, config.outputs)]
        await exchange_all(self.dut, self.name, {"command": [vocab | HeadKind.SHORTLIST.value << 48], "partial": partial}, {},
                           traffic=traffic, limit=400)
        while not recorder.cycles("done"):
            await RisingEdge(getattr(self.dut, f"{self.name}_clk"))
        assert self.read == len(beats)
        task.cancel()
        self.read = 0
        whole = [int.from_bytes(beat.tobytes(), "little") for beat in words(weight, scale, size).reshape(-1, size)]
        task = cocotb.start_soon(self.memory(head_base, whole, traffic))
        command = vocab | inputs << 32 | HeadKind.CANDIDATES.value << 48
        result = await exchange_all(self.dut, self.name, {"command": [command]},
                                    {"request": 1, "o": len(expected) // config.port_bytes}, traffic=traffic, linger=12, limit=4000)
        task.cancel()
        recorder.stop()
        assert self.read == count * listed * (1 + -(-inputs // size))
        assert len(recorder.cycles("done")) == 2 and not any(recorder["weights__ready"]), "the weight stream is not touched"
        assert any(recorder["invalid"]) == (large is not None)
        if large is None:
            got = {address + n: byte for address, raw in writes_of(result["request"].payloads, result.o.payloads,
                                                                   config.port_bytes).items() for n, byte in enumerate(raw)}
            assert got == expected, f"{inputs} x {vocab}, {count} rows"


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def matches(dut, name, traffic):
    """No, some and all rows want full logits; vocabularies shorter than the list, whole blocks, others."""
    await start(dut, name)
    bench, config = Bench(dut, name), SETS[name]
    top, full = RowFlag.TOP_K, RowFlag.LOGITS
    block = config.beat_bytes
    for inputs, vocab, count, flags in (
        (config.max_hidden, 3 * block - 1, config.rows, [top] * 3),
        (block, 2, 1, [full]),
        (1, 2 * block, config.rows, [0, full | top, 0] if config.rows > 1 else [full]),
        # More than a block of the logit writer.
        (2, 2 * WRITE_BLOCK + block + 1, max(1, config.rows - 1), [full] * 3),
    ):
        await bench.run(inputs, vocab, count, [int(flag) for flag in flags], traffic)


@cocotb.test()
@cocotb.parametrize(name=list(SETS), flag=[RowFlag.TOP_K, RowFlag.LOGITS])
async def invalid_is_told(dut, name, flag):
    """An overflowing logit of the last vocabulary row is told; the next command starts afresh."""
    await start(dut, name)
    bench, config = Bench(dut, name), SETS[name]
    for large in (True, False):
        await bench.run(config.beat_bytes, 5, config.rows, [int(flag)] * config.rows, "flat out", large=large)


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=["flat out", "stalls"])
async def two_stages_match(dut, name, traffic):
    """Vocabularies smaller than the shortlist, of a whole word of sums, of any size; between them the exact head is as ever."""
    await start(dut, name)
    bench, config = Bench(dut, name), SETS[name]
    block = config.beat_bytes
    for inputs, vocab, count in ((config.max_hidden, 4 * block + 3, config.rows), (1, 2, 1), (block, config.max_vocab, config.rows),
                                 (block + 1, block + 2, max(1, config.rows - 1))):
        await bench.two_stages(inputs, vocab, count, traffic)
        await bench.run(block, 3 * block, config.rows, [int(RowFlag.TOP_K)] * config.rows, traffic)


@cocotb.test()
@cocotb.parametrize(name=list(SETS), large=["score", "logit"])
async def invalid_is_told_in_two_stages(dut, name, large):
    """An overflowing score, or logit of a row's own candidate."""
    await start(dut, name)
    bench, config = Bench(dut, name), SETS[name]
    await bench.two_stages(config.beat_bytes, 30, config.rows, "flat out", large=large)
    await bench.two_stages(config.beat_bytes, 30, config.rows, "flat out")
