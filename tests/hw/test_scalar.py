"""terntable.hw.scalar against its twin, cycle by cycle."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terntable.hw.scalar import ScalarUnit
from terntable.models.golden import float32, scalar
from tests.hw.naive_float import f32

SETS = {"least": {"rows": 1, "slots": 2}, "odd": {"rows": 3, "slots": 5}, "more": {"rows": 4, "slots": 6}}


def units() -> dict[str, ScalarUnit]:
    return {name: ScalarUnit(**sizes) for name, sizes in SETS.items()}


@pytest.mark.parametrize("rows", [0, -1, 2.0])
def test_rows_checked(rows):
    with pytest.raises(ValueError, match="rows must be a positive integer, not"):
        ScalarUnit(rows=rows, slots=2)


@pytest.mark.parametrize("slots", [1, 256, 2.0])
def test_slots_checked(slots):
    with pytest.raises(ValueError, match="slots must be 2 to 255, not"):
        ScalarUnit(rows=1, slots=slots)


def test_matches_twin(simulate):
    simulate(units(), "tests.hw.scalar_bench")


FINITE = st.floats(2.0**-20, 2.0**20, width=32)


@given(st.lists(FINITE, min_size=1, max_size=4), FINITE, FINITE, FINITE)
@settings(deadline=None)
def test_twin_equals_loop(values, imm, imm2, f):
    rows = np.array(values, np.float32)
    imm32, imm232 = np.float32(imm), np.float32(imm2)
    inverse = [f32(1 / f32(math.sqrt(f32(f32(value * imm) + imm2)))) for value in values]
    assert scalar.norm_scale(rows, imm32, imm232).tolist() == inverse
    s, d = scalar.quant_scale(rows, imm32, np.full_like(rows, f))
    largest = [max(f32(value * f), float(np.float32(1e-5))) for value in values]
    assert s.tolist() == [f32(f32(imm / value) * f) for value in largest]
    assert d.tolist() == [f32(value / imm) for value in largest]
    assert scalar.factor(rows, imm32).tolist() == [f32(value * imm) for value in values]


def test_scale_of_nothing_and_of_invalid():
    s, d = scalar.quant_scale(np.array([0, np.nan], np.float32), np.float32(127), np.ones(2, np.float32))
    assert s[0] == np.float32(127) / np.float32(1e-5) and d[0] == np.float32(1e-5) / np.float32(127)
    assert float32.is_invalid(s)[1] and float32.is_invalid(d)[1]
