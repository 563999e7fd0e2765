"""terntable.hw.result_writer: the bytes it writes."""

import pytest

from terntable.hw.result_writer import ResultWriter

SETS = {"least": {"rows": 1, "k": 1, "beat_bytes": 8}, "odd": {"rows": 3, "k": 5, "beat_bytes": 16},
        "even": {"rows": 8, "k": 8, "beat_bytes": 16}, "wide": {"rows": 2, "k": 16, "beat_bytes": 64}}


@pytest.mark.parametrize("change,message", [
    ({"k": 0}, "k must be a positive integer, not 0"),
    ({"beat_bytes": 12}, "beat_bytes must be a power of two of at least 8, not 12"),
    ({"beat_bytes": 4}, "beat_bytes must be a power of two of at least 8, not 4")])
def test_sizes_checked(change, message):
    with pytest.raises(ValueError, match=message):
        ResultWriter(**{**SETS["odd"], **change})


def test_matches_bytes(simulate):
    simulate({name: ResultWriter(**sizes) for name, sizes in SETS.items()}, "tests.hw.result_writer_bench")
