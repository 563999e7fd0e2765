"""Runs in the simulator; see test_head_unit.py."""

import cocotb
import numpy as np

from terntable.hw.head_unit import WRITE_BLOCK
from terntable.hw.spec.layout import logits_stride, result_stride
from terntable.hw.spec.program import RowFlag
from terntable.models.golden.float_bits import to_bits
from terntable.models.golden.head import logits, words
from terntable.models.golden.topk import topk
from tests.hw.bench.streams import SEED, TRAFFIC, exchange_all, pack_array, start
from tests.hw.port_models import Recorder, acknowledge, serve, writes_of
from tests.hw.test_head_unit import SETS


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
