"""terntable.hw.lookup_array against its twin, and the twin against plain integers."""

import numpy as np
import pytest

from terntable.hw.lookup_array import LookupArray
from terntable.models.golden.base3 import split_bytes
from terntable.models.golden.lookup_array import latency, lookup
from terntable.models.golden.table_builder import build_tables
from terntable.quant.base3 import unpack_bytes

SETS = {
    "even": {"rows": 2, "lanes": 2, "groups": 4},
    "single": {"rows": 3, "lanes": 1, "groups": 1},
    "wide": {"rows": 1, "lanes": 4, "groups": 8},
}


def beats(lanes: int, groups: int, seed: int) -> np.ndarray:
    """Beats of legal bytes ``(120, lanes * groups)``, the extremes first."""
    bytes_ = np.random.default_rng(seed).integers(0, 243, (120, lanes * groups)).astype(np.uint8)
    for n, corner in enumerate((0, 242, 121)):
        bytes_[n] = corner
    return bytes_


def test_matches_twin(simulate):
    simulate({name: LookupArray(**sizes) for name, sizes in SETS.items()}, "tests.hw.lookup_array_bench")


def test_latency_is_the_twins():
    for groups in (1, 2, 3, 4, 8, 9, 32):
        assert LookupArray(rows=1, lanes=1, groups=groups).LATENCY == latency(groups)
    assert [latency(groups) for groups in (1, 2, 4, 8)] == [2, 2, 3, 3]


def test_twin_by_plain_integers():
    rows, lanes, groups = 2, 3, 2
    columns = np.random.default_rng(4).integers(-128, 128, (rows, 5 * groups)).astype(np.int8)
    bytes_ = beats(lanes, groups, seed=5)
    low, high, _ = split_bytes(bytes_)
    sums = lookup(*build_tables(columns), low, high)
    for beat, got in zip(bytes_, sums, strict=True):
        trits = unpack_bytes(beat).reshape(lanes, 5 * groups).tolist()
        for lane in range(lanes):
            for r in range(rows):
                assert got[lane, r] == sum(w * int(a) for w, a in zip(trits[lane], columns[r], strict=True))


@pytest.mark.parametrize("name", ["rows", "lanes", "groups"])
@pytest.mark.parametrize("value", [0, 2.0])
def test_sizes_checked(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a positive integer, not {value}"):
        LookupArray(**{"rows": 1, "lanes": 1, "groups": 1, name: value})
