"""terntable.hw.lanes against its twin, cycle by cycle."""

import pytest

from terntable.hw.lanes import VectorLanes

SETS = {"least": {"rows": 1, "lanes": 2}, "odd": {"rows": 3, "lanes": 2}, "wide": {"rows": 2, "lanes": 4}}


def units() -> dict[str, VectorLanes]:
    return {name: VectorLanes(**sizes) for name, sizes in SETS.items()}


@pytest.mark.parametrize("rows", [0, -1, 2.0])
def test_rows_checked(rows):
    with pytest.raises(ValueError, match="rows must be a positive integer, not"):
        VectorLanes(rows=rows, lanes=2)


@pytest.mark.parametrize("lanes", [0, 1, 3, 8, 2.5])
def test_lanes_checked(lanes):
    with pytest.raises(ValueError, match="lanes must be 2 or 4, not"):
        VectorLanes(rows=1, lanes=lanes)


def test_matches_twin(simulate):
    simulate(units(), "tests.hw.lanes_bench")
