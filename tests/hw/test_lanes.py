"""The twin of terntable.hw.lanes against loops over rows and columns; test_vector.py holds the hardware against it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terntable.models.golden import float32, lanes
from tests.hw.naive_float import clamped_round, f32


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

    normal, amax, _ = lanes.norm(x, y[0])
    same(normal, each(lambda r, c: f32(a[r][c] * b[0][c]), rows, columns))
    assert amax.tolist() == [max(map(abs, row)) for row in normal.tolist()]
    plain, amax = lanes.convert(p)
    same(plain, each(lambda r, c: f32(g[r][c]), rows, columns))
    assert amax.tolist() == [max(map(abs, row)) for row in plain.tolist()]
    same(lanes.add_scaled(x, p, f), each(lambda r, c: f32(a[r][c] + scaled[r][c]), rows, columns))
    for bits in (8, 16):
        wanted = [[clamped_round(f32(a[r][c] * s[r]), bits) for c in range(columns)] for r in range(rows)]
        assert lanes.quant(x, f, bits).tolist() == wanted


@given(matrices())
@settings(deadline=None, max_examples=30)
def test_glu_equals_loop(matrix):
    x, _, p, f = matrix
    rows, columns = x.shape[0], x.shape[1] // 2
    f2 = x[:, 0]
    g, s, s2 = p.tolist(), f.tolist(), f2.tolist()
    gates = each(lambda r, c: f32(f32(g[r][2 * c]) * s[r]), rows, columns).tolist()
    ups = each(lambda r, c: f32(f32(g[r][2 * c + 1]) * s2[r]), rows, columns).tolist()
    same(lanes.glu(p[:, ::2], p[:, 1::2], f, f2, "relu2"),
         each(lambda r, c: f32(f32(max(gates[r][c], 0.0) ** 2) * ups[r][c]), rows, columns))
    weights = float32.sigmoid(np.array(gates, np.float32)).tolist()
    same(lanes.glu(p[:, ::2], p[:, 1::2], f, f2, "silu"),
         each(lambda r, c: f32(f32(gates[r][c] * weights[r][c]) * ups[r][c]), rows, columns))


def test_glu_of_invalid_and_unknown():
    huge, one = np.array([[1]], np.int32), np.ones(1, np.float32)
    invalid = float32.from_bits(np.array([float32.INVALID], np.uint32))
    for act in ("relu2", "silu"):
        assert float32.is_invalid(lanes.glu(huge, huge, invalid, one, act)).all()
        assert float32.is_invalid(lanes.glu(huge, huge, one, invalid, act)).all()
    with pytest.raises(ValueError, match="act must be relu2 or silu, not 'gelu'"):
        lanes.glu(huge, huge, one, one, "gelu")


@given(matrices())
@settings(deadline=None, max_examples=30)
def test_rope_equals_loop(matrix):
    _, y, p, _ = matrix
    cos, sin = y[:, 0::2], y[:, 1::2]
    wanted = np.empty_like(y)
    for r, row in enumerate(lanes.convert(p)[0].tolist()):
        for t, (a, b) in enumerate(zip(row[0::2], row[1::2], strict=True)):
            c, s = float(cos[r, t]), float(sin[r, t])
            wanted[r, 2 * t] = f32(f32(a * c) - f32(b * s))
            wanted[r, 2 * t + 1] = f32(f32(b * c) + f32(a * s))
    turned, amax = lanes.rope(p, cos, sin)
    same(turned, wanted)
    assert amax.tolist() == np.abs(wanted).max(axis=1).tolist()


@given(matrices())
@settings(deadline=None, max_examples=30)
def test_sum_equals_loop(matrix):
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
    same(lanes.norm(x, x[0])[2], np.array(wanted, np.float32))


def test_quant_rejects_invalid():
    with pytest.raises(ValueError, match="no integer value"):
        lanes.quant(np.array([[np.inf]], np.float32), np.ones(1, np.float32), 8)
    with pytest.raises(ValueError, match="bits must be 8 or 16, not 4"):
        lanes.quant(np.ones((1, 2), np.float32), np.ones(1, np.float32), 4)
