"""terntable.hw.kv_fetch: the requests of an attention descriptor."""

import pytest

from terntable.hw.kv_fetch import KvFetch

SETS = {
    "least": {"beat_bytes": 8, "port_bytes": 8},
    "odd": {"beat_bytes": 16, "port_bytes": 8},
    "wide": {"beat_bytes": 64, "port_bytes": 16},
}


def test_asks(simulate):
    simulate({name: KvFetch(**sizes) for name, sizes in SETS.items()}, "tests.hw.kv_fetch_bench")


@pytest.mark.parametrize(("change", "message"), [
    ({"beat_bytes": 4}, "beat_bytes must be a power of two of at least 8, not 4"),
    ({"port_bytes": 12}, "port_bytes must be a power of two of at least 8, not 12"),
    ({"port_bytes": 32}, "port_bytes must be at most beat_bytes = 16, not 32"),
])
def test_sizes_checked(change, message):
    with pytest.raises(ValueError, match=message):
        KvFetch(**{**SETS["odd"], **change})
