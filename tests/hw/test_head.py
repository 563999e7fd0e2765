"""terntable.hw.head against its twin, and the twin against Python integers."""

import struct

import numpy as np
import pytest
from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.head import COMMAND, Head, logit_item
from terntable.hw.int8_array import Int8Array
from terntable.hw.regroup import RegroupMemory
from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.layout import head_beats
from terntable.models.golden.float32 import from_int, mul
from terntable.models.golden.float_bits import to_bits
from terntable.models.golden.head import beats, logits

SETS = {"least": {"rows": 1, "beat_bytes": 8, "max_hidden": 9, "max_vocab": 40},
        "tiny": {"rows": 4, "beat_bytes": 16, "max_hidden": 48, "max_vocab": 64},
        "wide": {"rows": 3, "beat_bytes": 32, "max_hidden": 100, "max_vocab": 50}}


class HeadWithArray(wiring.Component):
    """The head, its multipliers and the memory of its activations, which `write_...` fills."""

    def __init__(self, *, rows: int, beat_bytes: int, max_hidden: int, max_vocab: int):
        self.head = Head(rows=rows, beat_bytes=beat_bytes, max_hidden=max_hidden, max_vocab=max_vocab)
        self.array = Int8Array(rows=rows, lanes=beat_bytes)
        self.memory = RegroupMemory(rows=rows, lanes=2, beat=beat_bytes, width=16, depth=max_hidden)
        super().__init__({
            "command": In(stream.Signature(COMMAND)), "d": In(data.ArrayLayout(32, rows)),
            "weights": In(stream.Signature(8 * beat_bytes)), "busy": Out(1), "done": Out(1),
            "o": Out(stream.Signature(logit_item(rows=rows))),
            **{name: self.memory.signature.members[name]
               for name in ("write_valid", "write_column", "write_data")},
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.head, m.submodules.array, m.submodules.memory = head, array, memory = \
            self.head, self.array, self.memory
        wiring.connect(m, head.array, array)
        for name in ("command", "weights"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(head, name))
        wiring.connect(m, head.o, wiring.flipped(self.o))
        m.d.comb += [
            head.d.eq(self.d), self.busy.eq(head.busy), self.done.eq(head.done),
            memory.read_word.eq(head.act_word), head.act_data.eq(memory.read_data),
            memory.write_valid.eq(self.write_valid), memory.write_column.eq(self.write_column),
            memory.write_data.eq(self.write_data),
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


@pytest.mark.parametrize("inputs,vocab,beat_bytes", [(1, 1, 8), (16, 6, 16), (17, 5, 8)])
def test_stream(inputs, vocab, beat_bytes):
    """Read back byte by byte as docs/program.md describes it."""
    _, weight, scale, _ = vectors(1, inputs, vocab, 4)
    stream_ = beats(weight, scale, beat_bytes)
    config = HardwareConfig(name="here", beat_bytes=beat_bytes, max_hidden=32, max_vocab=32)
    assert stream_.shape == (head_beats(inputs, vocab, config), beat_bytes)
    raw, at = stream_.tobytes(), 0
    block, padded = beat_bytes // 4, -(-inputs // beat_bytes) * beat_bytes
    for first in range(0, vocab, block):
        scales = struct.unpack_from(f"<{block}f", raw, at)
        at += beat_bytes
        for v in range(first, first + block):
            row = list(struct.unpack_from(f"{padded}b", raw, at))
            at += padded
            real = v < vocab
            assert scales[v - first] == (float(scale[v]) if real else 0)
            assert row == (weight[v].tolist() if real else [0] * inputs) + [0] * (padded - inputs)
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
    ({"max_vocab": 0}, "max_vocab must be"), ({"rows": 0}, "rows must be at least 1, not 0")])
def test_parameters_checked(change, message):
    with pytest.raises(ValueError, match=message):
        Head(**{**SETS["tiny"], **change})


def test_matches_twin(simulate):
    simulate({name: HeadWithArray(**sizes) for name, sizes in SETS.items()}, "tests.hw.head_bench")
