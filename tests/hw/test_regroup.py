"""terntable.hw.regroup against a plain array, read in every cycle."""

import pytest

from terntable.hw.regroup import RegroupMemory

SETS = {"least": {"rows": 1, "lanes": 1, "beat": 8, "width": 8, "depth": 24},
        "odd": {"rows": 3, "lanes": 2, "beat": 8, "width": 16, "depth": 36},
        "long": {"rows": 4, "lanes": 2, "beat": 16, "width": 8, "depth": 90},
        "wide": {"rows": 2, "lanes": 8, "beat": 8, "width": 5, "depth": 64}}


def units() -> dict[str, RegroupMemory]:
    return {name: RegroupMemory(**sizes) for name, sizes in SETS.items()}


def test_matches_model(simulate):
    simulate(units(), "tests.hw.regroup_bench")


@pytest.mark.parametrize(("change", "message"), [
    ({"rows": 0}, "rows must be at least 1, not 0"),
    ({"lanes": 3}, "lanes must be a power of two, not 3"),
    ({"beat": 12}, "beat must be a power of two, not 12"),
    ({"lanes": 16}, "beat must be at least lanes = 16, not 8"),
    ({"width": 65}, "width must be 1..64, not 65"),
    ({"depth": 0}, "depth must be at least 1 column, not 0"),
])
def test_sizes_checked(change, message):
    with pytest.raises(ValueError, match=message):
        RegroupMemory(**{**SETS["odd"], **change})
