"""terntable.hw.attention against its twin, cycle by cycle, and the twin against plain arithmetic."""

import numpy as np
import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from hypothesis import given
from hypothesis import strategies as st

from terntable.hw.attention import Attention
from terntable.hw.float_to_fixed import FloatToFixed
from terntable.hw.int8_array import Int8Array
from terntable.hw.kernel import KernelStream
from terntable.hw.regroup import RegroupMemory
from terntable.models.golden import float32
from terntable.models.golden.attention import attention, cycles, maximum, visible
from terntable.models.golden.exp2 import exp2_negative
from terntable.models.golden.float_to_fixed import LARGEST, float_to_fixed

SETS = {
    "least": {"rows": 1, "lanes": 1, "beat_bytes": 8, "max_context": 32, "max_head_dim": 5, "max_heads": 1},
    "odd": {"rows": 3, "lanes": 2, "beat_bytes": 16, "max_context": 20, "max_head_dim": 36, "max_heads": 5,
            "max_group": 3},
    "wide": {"rows": 2, "lanes": 4, "beat_bytes": 8, "max_context": 70, "max_head_dim": 24, "max_heads": 4},
}


class AttentionRig(wiring.Component):
    """Attention with its multipliers, its query buffer and a small memory of scales."""

    def __init__(self, **sizes: int):
        self.attention = unit = Attention(**sizes)
        rows, beat = sizes["rows"], sizes["beat_bytes"]
        columns = unit.sizes.max_heads * unit.sizes.beats * beat
        self.array = Int8Array(rows=rows, lanes=beat)
        self.queries = RegroupMemory(rows=rows, lanes=1, beat=beat, width=8, depth=columns)
        members = unit.signature.members
        queries = self.queries.signature.members
        super().__init__({
            **{name: members[name] for name in ("command", "prefix", "mask", "kv", "o", "busy", "done")},
            "write_valid": In(1), "write_column": queries["write_column"],
            "write_data": queries["write_data"],
            "scales": In(32 * rows * (unit.sizes.max_heads + 2)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.attention = unit = self.attention
        m.submodules.array = self.array
        m.submodules.queries = queries = self.queries
        wiring.connect(m, unit.array, self.array)
        for name in ("command", "kv", "o"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(unit, name))
        m.d.comb += [
            unit.prefix.eq(self.prefix), unit.mask.eq(self.mask),
            self.busy.eq(unit.busy), self.done.eq(unit.done),
            queries.write_valid.eq(self.write_valid), queries.write_column.eq(self.write_column),
            queries.write_data.eq(self.write_data), queries.read_word.eq(unit.query_word),
            unit.query_data.eq(queries.read_data),
        ]
        m.d.sync += unit.scales_data.eq(self.scales.word_select(unit.scales_address, 32 * unit.sizes.rows))
        return m


def units() -> dict[str, AttentionRig]:
    return {name: AttentionRig(**sizes) for name, sizes in SETS.items()}


def test_matches_twin(simulate):
    simulate(units(), "tests.hw.attention_bench")


def test_fixed_point_matches_twin(simulate):
    simulate({"fixed": KernelStream(kernel=FloatToFixed())}, "tests.hw.float_to_fixed_bench")


@pytest.mark.parametrize(("change", "message"), [
    ({"rows": 65}, "rows must be 1..64, not 65"),
    ({"lanes": 3}, "lanes must be a power of two of at least 1, not 3"),
    ({"lanes": 32}, "lanes must be at most beat_bytes = 16, not 32"),
    ({"beat_bytes": 4}, "beat_bytes must be a power of two of at least 8, not 4"),
    ({"max_context": 0}, "max_context must be 1..65535, not 0"),
    ({"max_head_dim": 1025}, "max_head_dim must be 1..1024, not 1025"),
    ({"max_heads": 256}, "max_heads must be 1..255, not 256"),
    ({"max_group": 6}, "max_group must be 1..5, not 6"),
])
def test_sizes_checked(change, message):
    with pytest.raises(ValueError, match=message):
        Attention(**{**SETS["odd"], **change})


@given(prefix=st.integers(0, 90), mask=st.integers(0, 2**64 - 1), slots=st.integers(1, 150))
def test_visible_is_prefix_then_mask(prefix, mask, slots):
    wanted = [j < prefix or (j - prefix < 64 and mask >> (j - prefix) & 1 == 1) for j in range(slots)]
    assert visible([prefix], np.array([mask], np.uint64), slots)[0].tolist() == wanted


NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.lists(NUMBERS, min_size=1, max_size=9), st.data())
def test_maximum_is_that_of_the_wanted(values, data):
    wanted = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    best, found = maximum(np.array(values, np.float32), np.array(wanted))
    chosen = [value for value, want in zip(values, wanted, strict=True) if want]
    assert bool(found) == bool(chosen)
    assert float(best) == max(chosen, default=0.0)


@given(NUMBERS)
def test_fixed_point_is_rounded_and_clamped(value):
    a = np.float32(value)
    wanted = 0 if float32.operand(a) <= 0 else min(round(float(a) * 65536), LARGEST)
    assert int(float_to_fixed(a)) == wanted


def draw(rng: np.random.Generator, rows: int, heads: int, dim: int, slots: int) -> dict[str, np.ndarray]:
    """Arguments of the twin, random."""
    def scales(*shape):
        return rng.uniform(0.001, 0.03, shape).astype(np.float32)
    return {"query": rng.integers(-127, 128, (rows, heads, dim)), "query_scale": scales(rows, heads),
            "key": rng.integers(-127, 128, (slots, dim)), "key_scale": scales(slots),
            "value": rng.integers(-127, 128, (slots, dim)), "value_scale": scales(slots),
            "visible": rng.random((rows, slots)) < 0.8, "imm": np.float32(1.4426950408889634 / np.sqrt(dim))}


def plain(query, query_scale, key, key_scale, value, value_scale, visible, imm, row, head):
    """One row and head as docs/program.md says it, in Python integers."""
    one = np.float32
    slots = [j for j in range(len(key)) if visible[row, j]]
    c = float32.mul(query_scale[row, head], one(imm))
    scores = []
    for j in slots:
        s = sum(int(a) * int(b) for a, b in zip(query[row, head], key[j], strict=True))
        scores.append(float32.mul(float32.from_int(s), float32.mul(c, key_scale[j])))
    largest, scale = max(scores), max(value_scale[j] for j in slots)
    inverse, total, sums = float32.div(one(65536), scale), 0, [0] * query.shape[2]
    for j, score in zip(slots, scores, strict=True):
        distance = float32.sub(largest, score)
        e = int(exp2_negative(min(round(float(distance) * 65536), LARGEST)))
        total += e
        v = min(int(float32.to_int(float32.mul(value_scale[j], inverse), 32)), 65535)
        w = (e * v + 32768) >> 16
        sums = [old + w * int(item) for old, item in zip(sums, value[j], strict=True)]
    factor = float32.div(scale, float32.from_int(total))
    return [float32.mul(float32.from_int(item), factor) for item in sums]


@pytest.mark.parametrize(("rows", "heads", "dim", "slots"), [(1, 1, 1, 1), (3, 2, 6, 9), (2, 4, 16, 30)])
def test_twin_is_plain_arithmetic(rows, heads, dim, slots):
    case = draw(np.random.default_rng([rows, slots]), rows, heads, dim, slots)
    case["visible"][:, 0] = True
    out = float32.to_bits(attention(**case))
    for row in range(rows):
        for head in range(heads):
            wanted = np.array(plain(**case, row=row, head=head))
            np.testing.assert_array_equal(out[row, head], float32.to_bits(wanted))


def test_twin_is_attention():
    case = draw(np.random.default_rng(5), 4, 3, 32, 200)
    out = attention(**case)
    scores = np.einsum("rhd,jd,rh,j->rhj", case["query"], case["key"], case["query_scale"], case["key_scale"])
    chances = np.where(case["visible"][:, None], np.exp(scores / np.sqrt(32)), 0)
    chances /= chances.sum(axis=-1, keepdims=True)
    exact = chances @ (case["value"] * case["value_scale"][:, None])
    assert np.abs(out - exact).max() < 2e-4 * np.abs(exact).max()


def test_rows_that_see_nothing_and_invalid_rows():
    case = draw(np.random.default_rng(6), 4, 2, 8, 12)
    case["visible"][0] = False
    case["visible"][1:, 3] = True
    case["visible"][3, :] = np.arange(12) != 3
    for name in ("key_scale", "value_scale"):
        broken = {**case, name: case[name].copy()}
        broken[name][3] = np.nan
        out = float32.to_bits(attention(**broken))
        assert (out[0] == 0).all()
        assert (out[1:3] == float32.INVALID).all()
        assert not float32.is_invalid(attention(**broken)[3]).any()


def test_cycles_grow_by_record():
    sizes = {"heads": 2, "head_dim": 16, "beat_bytes": 8, "max_group": 2}
    one, two = (cycles(slots=slots, **sizes) for slots in (200, 201))
    assert two - one == 2 * 2 * 2 + 1
