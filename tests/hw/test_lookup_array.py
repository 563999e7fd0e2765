"""terntable.hw.lookup_array against its twin, and the twin against plain integers."""

import numpy as np
import pytest

from terntable.hw.lookup_array import LookupArray
from terntable.hw.spec.lookup import CODES
from terntable.models.golden.lookup_array import latency, lookup
from terntable.models.golden.table_builder import build_tables

SETS = {
    "even": {"rows": 2, "outputs": 2, "groups": 4, "parts": 2},
    "single": {"rows": 3, "outputs": 1, "groups": 1, "parts": 1},
    "odd": {"rows": 1, "outputs": 3, "groups": 7, "parts": 1},
    "wide": {"rows": 1, "outputs": 4, "groups": 16, "parts": 4},
}


def cells(lookups: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """``(address, negate)`` of 200 cells ``(200, lookups)``; the first ones give each trits' number to all lookups alike."""
    numbers = np.random.default_rng(seed).integers(0, 27, (200, lookups))
    numbers[:27] = np.arange(27)[:, None]
    codes = np.array(CODES)[numbers]
    return codes[..., 0], codes[..., 1]


def test_matches_twin(simulate):
    simulate({name: LookupArray(**sizes) for name, sizes in SETS.items()}, "tests.hw.lookup_array_bench")


def test_latency_is_the_twins():
    for groups in (1, 2, 3, 4, 8, 9, 32):
        assert LookupArray(rows=1, outputs=1, groups=groups, parts=1).LATENCY == latency(groups)
    assert [latency(groups) for groups in (1, 2, 4, 8, 16, 17)] == [1, 2, 2, 3, 3, 4]


def test_sums_hold_the_largest():
    for groups in (1, 3, 16, 17):
        assert 384 * groups < 1 << LookupArray(rows=1, outputs=1, groups=groups, parts=1).sum_bits - 1


def test_twin_by_plain_integers():
    rows, outputs, groups = 2, 3, 2
    columns = np.random.default_rng(4).integers(-128, 128, (rows, 3 * groups)).astype(np.int8)
    numbers = np.random.default_rng(5).integers(0, 27, (40, outputs, groups))
    codes = np.array(CODES)[numbers.reshape(40, -1)]
    sums = lookup(build_tables(columns), codes[..., 0], codes[..., 1])
    assert sums.shape == (40, outputs, rows) and sums.dtype == np.int32
    for cell, got in zip(numbers, sums, strict=True):
        for output in range(outputs):
            trits = [int(number) // 3**place % 3 - 1 for number in cell[output] for place in range(3)]
            for r in range(rows):
                assert got[output, r] == sum(w * int(a) for w, a in zip(trits, columns[r], strict=True))


@pytest.mark.parametrize("name", ["rows", "outputs", "groups", "parts"])
@pytest.mark.parametrize("value", [0, 2.0])
def test_sizes_checked(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a positive integer, not {value}"):
        LookupArray(**{"rows": 1, "outputs": 1, "groups": 1, "parts": 1, name: value})


def test_parts_checked():
    with pytest.raises(ValueError, match="parts must divide groups = 4, but it is 3"):
        LookupArray(rows=1, outputs=1, groups=4, parts=3)
