"""terntable.hw.kv_store and result_writer: what a pass writes besides logits."""

import pytest

from terntable.hw.kv_store import KvStore
from terntable.hw.result_writer import ResultWriter

STORES = {
    "store_least": {"rows": 1, "beat_bytes": 8, "key_slot": 1},
    "store_odd": {"rows": 3, "beat_bytes": 16, "key_slot": 5},
    "store_wide": {"rows": 8, "beat_bytes": 64, "key_slot": 32},
}
RESULTS = {
    "result_least": {"rows": 1, "k": 1, "beat_bytes": 8},
    "result_odd": {"rows": 3, "k": 5, "beat_bytes": 16},
    "result_wide": {"rows": 8, "k": 16, "beat_bytes": 64},
}


def test_stores(simulate):
    simulate(
        {
            **{name: KvStore(**sizes) for name, sizes in STORES.items()},
            **{name: ResultWriter(**sizes) for name, sizes in RESULTS.items()},
        },
        "tests.hw.storing_bench",
    )


def test_store_sizes_checked():
    with pytest.raises(ValueError, match="beat_bytes must be at least 8, which two scales take, not 4"):
        KvStore(rows=1, beat_bytes=4, key_slot=0)


def test_result_sizes_checked():
    with pytest.raises(ValueError, match="k must be a positive integer, not 0"):
        ResultWriter(rows=1, k=0, beat_bytes=8)
