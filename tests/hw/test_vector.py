"""terntable.hw.vector with its lanes: what it makes of memories and streams that the bench models, against the lanes' twin."""

import pytest

from terntable.hw.glu import Glu
from terntable.hw.lane_pair import LanePair
from terntable.hw.lanes import VectorLanes
from terntable.hw.partial_sums import PartialSums
from terntable.hw.vector import VectorUnit

SETS = {
    "least": {"rows": 1, "lanes": 2, "word_bytes": 8, "outputs": 2, "sum_bits": 12, "glu_units": 1},
    "odd": {"rows": 3, "lanes": 2, "word_bytes": 32, "outputs": 8, "sum_bits": 21, "glu_units": 2},
    "wide": {"rows": 1, "lanes": 4, "word_bytes": 64, "outputs": 4, "sum_bits": 32, "glu_units": 1},
}


def units() -> dict[str, VectorUnit]:
    return {name: VectorUnit(**sizes) for name, sizes in SETS.items()}


def test_matches_twin(simulate):
    simulate(units(), "tests.hw.vector_bench")


@pytest.mark.parametrize(("name", "value", "message"), [
    ("word_bytes", 4, "word_bytes must be a multiple of 4 x lanes = 8, not 4"),
    ("outputs", 3, "outputs must be a multiple of lanes = 2, not 3"),
    ("rows", 0, "rows must be a positive integer, not 0"),
    ("rows", 2.0, r"rows must be a positive integer, not 2\.0"),
    ("sum_bits", 33, r"sum_bits must be 2\.\.32, not 33"),
    ("sum_bits", 1, r"sum_bits must be 2\.\.32, not 1"),
    ("glu_units", 0, r"units must be 1\.\.1, not 0"),
])
def test_sizes_checked(name, value, message):
    with pytest.raises(ValueError, match=message):
        VectorUnit(**{**SETS["least"], name: value})


@pytest.mark.parametrize("lanes", [0, 1, 3, 8, 2.5])
def test_lanes_checked(lanes):
    with pytest.raises(ValueError, match="lanes must be 2 or 4, not"):
        PartialSums(rows=1, lanes=lanes)
    with pytest.raises(ValueError, match="lanes must be 2 or 4, not"):
        VectorLanes(rows=1, lanes=lanes, sum_bits=8, glu_units=1)


def test_parts_checked():
    with pytest.raises(ValueError, match=r"sum_bits must be 2\.\.32, not 1"):
        LanePair(sum_bits=1)
    with pytest.raises(ValueError, match="rows must be a positive integer, not 0"):
        Glu(rows=0, units=1)
    with pytest.raises(ValueError, match=r"units must be 1\.\.3, not 4"):
        Glu(rows=3, units=4)
