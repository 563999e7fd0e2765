"""Ternary rows: no other codes and scale come nearer, and refusals."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from terntable.quant import ternary_rows
from terntable.quant.ternary_rows import rows_ternary

FLOATS = st.floats(-(2.0**40), 2.0**40, width=32)


def error(row: np.ndarray, codes: np.ndarray) -> float:
    """Squared error of codes with the scale that suits them best."""
    count = (codes != 0).sum()
    return float((row**2).sum() - ((row * codes).sum() ** 2 / count if count else 0))


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, st.tuples(st.integers(1, 3), st.integers(1, 6)), elements=FLOATS))
def test_no_other_codes_come_nearer(weight):
    codes, scale = rows_ternary(weight)
    assert codes.dtype == np.int8 and scale.dtype == np.float32 and scale.shape == weight.shape[:1]
    for row, got, factor in zip(weight.astype(np.float64), codes, scale, strict=True):
        best = min(error(row, np.array(other)) for other in itertools.product((-1, 0, 1), repeat=len(row)))
        size = (row**2).sum()
        assert error(row, got) <= best + 1e-9 * size
        assert ((row - factor * got) ** 2).sum() <= error(row, got) + 1e-6 * size


def test_corners():
    codes, scale = rows_ternary(np.array([[0, 0, 0], [-4, 0, 4], [8, 1, -1], [1, 1, -1]], np.float32))
    assert codes.tolist() == [[0, 0, 0], [-1, 0, 1], [1, 0, 0], [1, 1, -1]]
    assert scale.tolist() == [0, 4, 8, 1]


def test_pieces_do_not_show(monkeypatch):
    weight = np.random.default_rng(1).normal(size=(37, 19)).astype(np.float16)
    codes, scale = rows_ternary(weight)
    assert 0.3 < (codes == 0).mean() < 0.6
    monkeypatch.setattr(ternary_rows, "_CHUNK", 40)
    again = rows_ternary(weight)
    assert codes.tobytes() == again[0].tobytes() and scale.tobytes() == again[1].tobytes()


def test_refusals():
    with pytest.raises(ValueError, match=r"weight holds inf at index \(0, 1\)"):
        rows_ternary(np.array([[0, np.inf]], np.float32))
    with pytest.raises(ValueError, match=r"shape \(1, 1, 2\), but must be a matrix"):
        rows_ternary(np.ones((1, 1, 2), np.float32))
    with pytest.raises(ValueError, match="of type int64"):
        rows_ternary(np.ones((1, 2), np.int64))
