"""terntable.hw.kv_store: planes and scales of the KV cache, as docs/program.md describes them."""

import pytest

from terntable.hw.kv_store import KvStore

SETS = {
    "least": {"rows": 1, "beat_bytes": 8, "port_bytes": 8, "first_slot": 1, "max_dim": 8},
    "narrow": {"rows": 8, "beat_bytes": 8, "port_bytes": 8, "first_slot": 4, "max_dim": 24},
    "odd": {"rows": 3, "beat_bytes": 16, "port_bytes": 8, "first_slot": 5, "max_dim": 48},
    "wide": {"rows": 4, "beat_bytes": 64, "port_bytes": 16, "first_slot": 32, "max_dim": 256},
    "short": {"rows": 2, "beat_bytes": 64, "port_bytes": 8, "first_slot": 3, "max_dim": 32},
    "single": {"rows": 2, "beat_bytes": 32, "port_bytes": 32, "first_slot": 0, "max_dim": 64},
}

#: (columns of a head, heads of a record): whole beats, part of a beat and of a beat of the port, pairs that fill beats together.
RECORDS = {
    "least": ((8, 1), (2, 1), (4, 2)),
    "narrow": ((8, 1), (12, 2), (4, 2), (24, 1), (10, 1), (20, 1)),
    "odd": ((16, 1), (24, 2), (8, 2), (20, 1), (4, 1), (48, 1), (12, 1)),
    "wide": ((128, 1), (96, 2), (32, 2), (80, 1), (256, 1), (16, 1)),
    "short": ((32, 1), (10, 1)),
    "single": ((32, 1), (16, 2), (40, 1)),
}


def test_stores_and_moves(simulate):
    simulate({name: KvStore(**sizes) for name, sizes in SETS.items()}, "tests.hw.kv_store_bench")


@pytest.mark.parametrize(("change", "message"), [
    ({"port_bytes": 4}, "port_bytes must be at least 8, which two scales take, not 4"),
    ({"beat_bytes": 20}, "beat_bytes must be a multiple of port_bytes = 8, not 20"),
])
def test_sizes_checked(change, message):
    with pytest.raises(ValueError, match=message):
        KvStore(**{**SETS["odd"], **change})
