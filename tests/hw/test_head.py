"""terntable.hw.head against its twin, and the twin against Python integers."""

import struct

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.column_memory import ColumnMemory
from terntable.hw.head import COMMAND, Head
from terntable.hw.head_feed import HeadFeed
from terntable.hw.head_logits import LOGIT, HeadLogits
from terntable.hw.head_sums import HeadSums, sum_bits
from terntable.hw.int8_array import Int8Array
from terntable.hw.shapes import per_row
from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.layout import head_words
from terntable.models.golden.float32 import from_int, mul
from terntable.models.golden.float_bits import to_bits
from terntable.models.golden.head import logits, words

SETS = {"least": {"rows": 1, "beat_bytes": 8, "lanes": 2, "max_hidden": 25, "max_vocab": 100},
        "odd": {"rows": 3, "beat_bytes": 16, "lanes": 2, "max_hidden": 71, "max_vocab": 100},
        "wide": {"rows": 1, "beat_bytes": 64, "lanes": 2, "max_hidden": 200, "max_vocab": 400}}


class HeadWithArray(wiring.Component):
    """The head, its multipliers and the memory of its activations, which `write_...` fills."""

    def __init__(self, **sizes: int):
        self.head = Head(**sizes)
        rows, lanes = sizes["rows"], sizes["lanes"]
        self.array = Int8Array(rows=rows, lanes=sizes["beat_bytes"], load_lanes=lanes)
        # No word past the inputs: what an address beyond the end reads must not matter.
        self.memory = ColumnMemory(rows=rows, lanes=lanes, width=16, depth=-(-sizes["max_hidden"] // lanes))
        members = self.memory.signature.members
        super().__init__({
            "command": In(stream.Signature(COMMAND)), "count": In(8), "d": In(per_row(rows=rows)),
            "weights": In(stream.Signature(16 * sizes["beat_bytes"])), "o": Out(stream.Signature(LOGIT)),
            "busy": Out(1), "done": Out(1), "wait_word": Out(1),
            **{name: members[name] for name in ("write_rows", "write_address", "write_data")},
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.head, m.submodules.array, m.submodules.memory = head, array, memory = self.head, self.array, self.memory
        wiring.connect(m, head.array, array)
        for name in ("command", "weights"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(head, name))
        wiring.connect(m, head.o, wiring.flipped(self.o))
        m.d.comb += [
            head.count.eq(self.count), head.d.eq(self.d),
            *(getattr(self, name).eq(getattr(head, name)) for name in ("busy", "done", "wait_word")),
            memory.read_enable.eq(1), memory.read_address.eq(head.act_address),
            head.act_data.as_value().eq(memory.read_data.as_value()),
            *(getattr(memory, name).eq(getattr(self, name)) for name in ("write_rows", "write_address", "write_data")),
        ]
        return m


def vectors(rows: int, inputs: int, vocab: int, seed: int) -> tuple[np.ndarray, ...]:
    """``act, weight, scale, d``, with the largest sums of both signs, a scale of zero and a row of zeros."""
    rng = np.random.default_rng(seed)
    act = rng.integers(-32768, 32768, (rows, inputs)).astype(np.int16)
    weight = rng.integers(-128, 128, (vocab, inputs)).astype(np.int8)
    scale = (10 ** rng.uniform(-6, 1, vocab)).astype(np.float32)
    d = (10 ** rng.uniform(-8, 2, rows)).astype(np.float32)
    act[0], weight[0], weight[-1] = -32768, -128, 127
    scale[vocab // 2], weight[vocab // 3] = 0, 0
    return act, weight, scale, d


@pytest.mark.parametrize("rows,inputs,vocab", [(1, 1, 1), (3, 7, 5), (2, 300, 9)])
def test_twin_against_integers(rows, inputs, vocab):
    act, weight, scale, d = vectors(rows, inputs, vocab, 3)
    result = logits(act, weight, scale, d)
    assert result.dtype == np.float32 and result.shape == (rows, vocab)
    for r in range(rows):
        for v in range(vocab):
            total = sum(int(a) * int(w) for a, w in zip(act[r], weight[v], strict=True))
            assert to_bits(result[r, v]) == to_bits(mul(from_int(np.array(total)), mul(scale[v], d[r])))


@pytest.mark.parametrize("inputs,vocab,beat_bytes", [(1, 1, 8), (16, 6, 16), (17, 9, 8), (65, 70, 64)])
def test_stream(inputs, vocab, beat_bytes):
    """Read back byte by byte: scales, then column word by column word."""
    _, weight, scale, _ = vectors(1, inputs, vocab, 4)
    stream_ = words(weight, scale, beat_bytes)
    config = HardwareConfig(name="here", beat_bytes=beat_bytes, max_hidden=128, max_vocab=128)
    assert stream_.shape == (head_words(inputs, vocab, config), 2 * beat_bytes)
    raw, at = stream_.tobytes(), 0
    for first in range(0, vocab, beat_bytes):
        scales = struct.unpack_from(f"<{beat_bytes}f", raw, at)
        at += 4 * beat_bytes
        assert list(scales) == [*scale[first:first + beat_bytes], *[0] * (first + beat_bytes - vocab)]
        for column in range(0, inputs, beat_bytes):
            for v in range(first, first + beat_bytes):
                beat = list(struct.unpack_from(f"{beat_bytes}b", raw, at))
                at += beat_bytes
                real = weight[v, column:column + beat_bytes].tolist() if v < vocab else []
                assert beat == real + [0] * (beat_bytes - len(real))
    assert at == len(raw)


def test_twin_checks():
    act, weight, scale, d = vectors(2, 3, 4, 1)
    with pytest.raises(ValueError, match="act must be int16 with 2 axes, not int64"):
        logits(act.astype(np.int64), weight, scale, d)
    with pytest.raises(ValueError, match="Shapes do not fit"):
        logits(act, weight[:, :2], scale, d)


@pytest.mark.parametrize("change,message", [
    ({"beat_bytes": 12}, "beat_bytes must be a power of two of at least 8, not 12"),
    ({"beat_bytes": 4}, "beat_bytes must be"), ({"max_hidden": 0}, "max_hidden must be 1..65535, not 0"),
    ({"max_vocab": 0}, "max_vocab must be"), ({"rows": 0}, "rows must be a positive integer, not 0"),
    ({"lanes": 8}, "lanes must be a power of two of at least 4 x load_lanes = 32, not 16")])
def test_parameters_checked(change, message):
    with pytest.raises(ValueError, match=message):
        Head(**{**SETS["odd"], **change})


@pytest.mark.parametrize("part,sizes,message", [
    (HeadSums, {"rows": 1, "block": 12, "dot_bits": 26, "bits": 30, "depth": 32}, "block must be a power of two of at least 8"),
    (HeadSums, {"rows": 1, "block": 8, "dot_bits": 26, "bits": 30, "depth": 12}, "depth must be a power of two, not 12"),
    (HeadLogits, {"rows": 1, "bits": 30, "block": 8, "depth": 12, "max_vocab": 9}, "depth must be a power of two, not 12"),
    (HeadFeed, {"rows": 1, "lanes": 2, "beat_bytes": 8, "words": 0}, "words must be a positive integer, not 0")])
def test_part_parameters_checked(part, sizes, message):
    with pytest.raises(ValueError, match=message):
        part(**sizes)


@pytest.mark.parametrize("inputs", [1, 2, 3, 1536, 2560])
def test_sums_fit(inputs):
    assert -1 << (sum_bits(inputs) - 1) <= -inputs * 128 * 32767 and inputs * 128 * 32768 < 1 << (sum_bits(inputs) - 1)


def test_matches_twin(simulate):
    simulate({name: HeadWithArray(**sizes) for name, sizes in SETS.items()}, "tests.hw.head_bench")
