"""terntable.hw.attention against its twin, cycle by cycle, and the twin against plain arithmetic."""

import numpy as np
import pytest
from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from hypothesis import given
from hypothesis import strategies as st

from terntable.hw.attention import Attention
from terntable.hw.attention_convert import AttentionConvert
from terntable.hw.attention_factors import AttentionFactors
from terntable.hw.attention_scores import AttentionScores
from terntable.hw.attention_weights import AttentionWeights
from terntable.hw.column_memory import ColumnMemory
from terntable.hw.float_to_fixed import FloatToFixed
from terntable.hw.int8_array import ArrayPort, Int8Array
from terntable.hw.kernel import KernelStream
from terntable.hw.spec.config import PRESETS
from terntable.models.golden import float32
from terntable.models.golden.attention import attention, maximum, visible
from terntable.models.golden.attention_cycles import AttentionTiming, cycles
from terntable.models.golden.exp2 import exp2_negative
from terntable.models.golden.float_to_fixed import LARGEST, float_to_fixed

SETS = {
    "planes": {"rows": 8, "lanes": 2, "beat_bytes": 8, "port_bytes": 8, "max_context": 40, "max_head_dim": 64,
               "scale_slots": 5, "query_words": 70},
    "odd": {"rows": 3, "lanes": 2, "beat_bytes": 16, "port_bytes": 8, "max_context": 70, "max_head_dim": 40,
            "scale_slots": 6, "query_words": 100},
    "wide": {"rows": 2, "lanes": 2, "beat_bytes": 64, "port_bytes": 16, "max_context": 150, "max_head_dim": 96,
             "scale_slots": 4, "query_words": 200},
}

#: Records of each: heads, columns of a head, slots.
RECORDS = {
    "planes": [(1, 64, 9), (1, 64, 1), (1, 64, 2), (1, 64, 3), (1, 64, 4), (1, 64, 5), (2, 12, 40), (2, 20, 7)],
    "odd": [(1, 24, 70), (2, 24, 17), (2, 8, 30), (2, 40, 9)],
    "wide": [(2, 96, 20), (1, 96, 9), (1, 64, 3), (2, 96, 2)],
}


def timing(*, rows: int, lanes: int, beat_bytes: int, **_: int) -> AttentionTiming:
    """Latencies of the parts of an instance."""
    port = ArrayPort(rows=rows, lanes=beat_bytes, load_lanes=lanes)
    return AttentionTiming(dot=port.dot_latency, unload=port.unload_latency, gap=port.unload_gap,
                           floats=AttentionConvert.FLOAT, convert=AttentionConvert.LATENCY, weight=AttentionWeights.MEET,
                           divide=rows + AttentionFactors.DIVIDE, spacing=AttentionScores.SPACING)


class AttentionRig(wiring.Component):
    """Attention with its multipliers, its query buffer and a small memory of scales."""

    def __init__(self, **sizes: int):
        self.attention = unit = Attention(**sizes)
        rows, lanes = sizes["rows"], sizes["lanes"]
        self.array = Int8Array(rows=rows, lanes=sizes["beat_bytes"], load_lanes=lanes)
        self.queries = ColumnMemory(rows=rows, lanes=lanes, width=8, depth=sizes["query_words"])
        members, queries = unit.signature.members, self.queries.signature.members
        super().__init__({
            **{name: members[name] for name in ("command", "prefix", "mask", "kv", "o", "busy", "done", "wait_data")},
            "write_rows": queries["write_rows"], "write_address": queries["write_address"],
            "write_data": queries["write_data"], "scales": In(32 * rows * sizes["scale_slots"]),
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
            self.busy.eq(unit.busy), self.done.eq(unit.done), self.wait_data.eq(unit.wait_data),
            queries.write_rows.eq(self.write_rows), queries.write_address.eq(self.write_address),
            queries.write_data.eq(self.write_data), queries.read_enable.eq(1),
            queries.read_address.eq(unit.query_address), Value.cast(unit.query_data).eq(Value.cast(queries.read_data)),
        ]
        m.d.sync += unit.slot_data.eq(self.scales.word_select(unit.slot_address, 32 * unit.sizes.rows))
        return m


def units() -> dict[str, AttentionRig]:
    return {name: AttentionRig(**sizes) for name, sizes in SETS.items()}


def test_matches_twin(simulate):
    simulate(units(), "tests.hw.attention_bench")


def test_fixed_point_matches_twin(simulate):
    simulate({"fixed": KernelStream(kernel=FloatToFixed())}, "tests.hw.float_to_fixed_bench")


@pytest.mark.parametrize(("change", "message"), [
    ({"rows": 65}, "rows must be 1..64, not 65"),
    ({"lanes": 3}, "lanes must be a power of two of at least 2, not 3"),
    ({"lanes": 8}, "lanes must be a power of two of at least 4 x load_lanes = 32, not 16"),
    ({"beat_bytes": 4}, "beat_bytes must be a power of two of at least 8, not 4"),
    ({"port_bytes": 32}, "port_bytes must be at most beat_bytes = 16, not 32"),
    ({"max_context": 0}, "max_context must be 1..65535, not 0"),
    ({"max_context": 4097}, "max_context must be at most 4096, what sums of 36 bits hold, not 4097"),
    ({"max_head_dim": 1025}, "max_head_dim must be 1..1024, not 1025"),
    ({"scale_slots": 257}, "scale_slots must be 1..256, not 257"),
    ({"query_words": 0}, "query_words must be 1..65536, not 0"),
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


@pytest.mark.parametrize(("pack", "head_dim", "slots"), [(2, 96, 128), (2, 96, 1024), (1, 128, 128), (1, 128, 2048)])
def test_little_besides_the_beats(pack, head_dim, slots):
    """BitNet 0.73B's records and 2B-4T's on the large instance: beats, emptying, and a fixed rest."""
    config = PRESETS["kv260"]
    sizes = {"rows": config.rows, "lanes": config.lanes, "beat_bytes": config.beat_bytes, "port_bytes": config.port_bytes}
    planes = pack * head_dim // config.beat_bytes
    beats = 2 * planes * slots + slots * config.port_bytes // config.beat_bytes
    emptying = planes * config.beat_bytes // config.lanes
    del sizes["rows"]
    took = cycles(slots=slots, pack=pack, head_dim=head_dim, **sizes, timing=timing(rows=config.rows, **sizes))
    assert took <= beats + emptying + 150
