"""terntable.hw.shortlist_feed: sums of vocabulary rows with their scales, in order."""

import pytest

from terntable.hw.shortlist_feed import ShortlistFeed

SETS = {
    "least": {"rows": 1, "outputs": 2, "beat_bytes": 8, "sum_bits": 9, "bits": 9, "depth": 4},
    "odd": {"rows": 3, "outputs": 4, "beat_bytes": 16, "sum_bits": 16, "bits": 30, "depth": 32},
    "wide": {"rows": 2, "outputs": 8, "beat_bytes": 64, "sum_bits": 20, "bits": 35, "depth": 64},
}


def test_feeds(simulate):
    simulate({name: ShortlistFeed(**sizes) for name, sizes in SETS.items()}, "tests.hw.shortlist_feed_bench")


@pytest.mark.parametrize(("change", "message"), [
    ({"depth": 3}, "depth must be an integer above 3, not 3"),
    ({"bits": 15}, "bits must be at least sum_bits = 16, not 15"),
])
def test_sizes_checked(change, message):
    with pytest.raises(ValueError, match=message):
        ShortlistFeed(**{**SETS["odd"], **change})
