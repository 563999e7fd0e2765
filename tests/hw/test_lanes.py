"""terntable.hw.lanes against its twin, cycle by cycle."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terntable.hw.lanes import VectorLanes
from terntable.models.golden import lanes
from tests.hw.naive_float import clamped_round, f32

SETS = {"least": {"rows": 1, "lanes": 2}, "odd": {"rows": 3, "lanes": 2}, "wide": {"rows": 1, "lanes": 4}}


def units() -> dict[str, VectorLanes]:
    return {name: VectorLanes(**sizes) for name, sizes in SETS.items()}


@pytest.mark.parametrize("rows", [0, -1, 2.0])
def test_rows_checked(rows):
    with pytest.raises(ValueError, match="rows must be a positive integer, not"):
        VectorLanes(rows=rows, lanes=2)


@pytest.mark.parametrize("count", [0, 1, 3, 8, 2.5])
def test_lanes_checked(count):
    with pytest.raises(ValueError, match="lanes must be 2 or 4, not"):
        VectorLanes(rows=1, lanes=count)


def test_matches_twin(simulate):
    simulate(units(), "tests.hw.lanes_bench")


@st.composite
def matrices(draw):
    """``(x, y, p, f)``: floats, floats and integers of (rows, columns), and a factor for each row."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.integers(1, 3)), 2 * draw(st.integers(1, 50))
    x, y = (rng.normal(size=(2, *shape)) * np.exp(4 * rng.normal(size=(2, *shape)))).astype(np.float32)
    p = rng.integers(-2**31, 2**31, shape).astype(np.int32) >> rng.integers(0, 32, shape)
    return x, y, p, rng.normal(size=shape[0]).astype(np.float32)


def each(function, rows, columns):
    """`function` of every row and column, as float32."""
    return np.array([[function(r, c) for c in range(columns)] for r in range(rows)], np.float32)


def same(got, wanted):
    np.testing.assert_array_equal(got.view(np.uint32), wanted.view(np.uint32))


@given(matrices())
@settings(deadline=None, max_examples=30)
def test_twin_equals_loop(matrix):
    x, y, p, f = matrix
    a, b, g, s = x.tolist(), y.tolist(), p.tolist(), f.tolist()
    rows, columns = x.shape
    scaled = each(lambda r, c: f32(f32(g[r][c]) * s[r]), rows, columns).tolist()

    normal, amax = lanes.norm(x, f, y[0])
    same(normal, each(lambda r, c: f32(f32(a[r][c] * s[r]) * b[0][c]), rows, columns))
    assert amax.tolist() == [max(map(abs, row)) for row in normal.tolist()]
    plain, amax = lanes.dequant(p, f)
    same(plain, np.array(scaled, np.float32))
    assert amax.tolist() == [max(map(abs, row)) for row in scaled]
    same(lanes.add_scaled(x, p, f), each(lambda r, c: f32(a[r][c] + scaled[r][c]), rows, columns))
    same(lanes.relu2(p, f), each(lambda r, c: f32(max(scaled[r][c], 0.0) ** 2), rows, columns))
    same(lanes.multiply(p, f, x), each(lambda r, c: f32(scaled[r][c] * a[r][c]), rows, columns))
    for bits in (8, 16):
        wanted = [[clamped_round(f32(a[r][c] * s[r]), bits) for c in range(columns)] for r in range(rows)]
        assert lanes.quant(x, f, bits).tolist() == wanted


@given(matrices())
@settings(deadline=None, max_examples=30)
def test_rope_equals_loop(matrix):
    x, y, _, _ = matrix
    cos, sin = y[:, 0::2], y[:, 1::2]
    wanted = np.empty_like(x)
    for r, row in enumerate(x.tolist()):
        for t, (a, b) in enumerate(zip(row[0::2], row[1::2], strict=True)):
            c, s = float(cos[r, t]), float(sin[r, t])
            wanted[r, 2 * t] = f32(f32(a * c) - f32(b * s))
            wanted[r, 2 * t + 1] = f32(f32(b * c) + f32(a * s))
    turned, amax = lanes.rope(x, cos, sin)
    same(turned, wanted)
    assert amax.tolist() == np.abs(wanted).max(axis=1).tolist()


@given(matrices())
@settings(deadline=None, max_examples=30)
def test_sumsq_equals_loop(matrix):
    x = matrix[0]
    wanted = []
    for row in x.tolist():
        partial = [0.0] * 32
        for c, value in enumerate(row):
            partial[c % 32] = f32(partial[c % 32] + f32(value * value))
        for half in (16, 8, 4, 2, 1):
            for i in range(half):
                partial[i] = f32(partial[i] + partial[i + half])
        wanted.append(partial[0])
    same(lanes.sumsq(x), np.array(wanted, np.float32))


def test_quant_rejects_invalid():
    with pytest.raises(ValueError, match="no integer value"):
        lanes.quant(np.array([[np.inf]], np.float32), np.ones(1, np.float32), 8)
    with pytest.raises(ValueError, match="bits must be 8 or 16, not 4"):
        lanes.quant(np.ones((1, 2), np.float32), np.ones(1, np.float32), 4)
