"""terntable.hw.head_gather: a head of chosen vocabulary rows, from where they lie in the whole one."""

import pytest

from terntable.hw.head_gather import HeadGather

SETS = {
    "least": {"rows": 1, "beat_bytes": 8, "max_hidden": 8, "index_bits": 9, "depth": 3},
    "odd": {"rows": 3, "beat_bytes": 16, "max_hidden": 70, "index_bits": 12, "depth": 8},
    "wide": {"rows": 2, "beat_bytes": 64, "max_hidden": 200, "index_bits": 17},
}


def test_gathers(simulate):
    simulate({name: HeadGather(**sizes) for name, sizes in SETS.items()}, "tests.hw.head_gather_bench")


@pytest.mark.parametrize(("change", "message"), [
    ({"beat_bytes": 4}, "beat_bytes must be a power of two of at least 8, not 4"),
    ({"depth": 2}, "depth must be an integer of at least 3, not 2"),
])
def test_sizes_checked(change, message):
    with pytest.raises(ValueError, match=message):
        HeadGather(**{**SETS["odd"], **change})
