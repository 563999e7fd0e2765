"""terntable.hw.logit_writer: the bytes it writes, block by block."""

import pytest

from terntable.hw.logit_writer import LogitWriter

SETS = {"least": {"rows": 1, "beat_bytes": 8, "block": 2}, "odd": {"rows": 3, "beat_bytes": 16, "block": 16},
        "wide": {"rows": 8, "beat_bytes": 32, "block": 64}}


@pytest.mark.parametrize("change,message", [
    ({"rows": 0}, "rows must be a positive integer, not 0"),
    ({"block": 2}, "block must be a power of two of at least beat_bytes / 4 = 4, not 2"),
    ({"block": 6}, "block must be a power of two of at least beat_bytes / 4 = 4, not 6"),
    ({"beat_bytes": 4}, "beat_bytes must be a power of two of at least 8, not 4")])
def test_parameters_checked(change, message):
    with pytest.raises(ValueError, match=message):
        LogitWriter(**{**SETS["odd"], **change})


def test_matches_bytes(simulate):
    simulate({name: LogitWriter(**sizes) for name, sizes in SETS.items()}, "tests.hw.logit_writer_bench")
