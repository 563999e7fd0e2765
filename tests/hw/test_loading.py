"""terntable.hw.row_table and row_loader: what a pass reads for its rows."""

import pytest

from terntable.hw.row_loader import RowLoader
from terntable.hw.row_table import RowTable

TABLES = {
    "table_least": {"rows": 1, "beat_bytes": 8},
    "table_odd": {"rows": 3, "beat_bytes": 16},
    "table_wide": {"rows": 8, "beat_bytes": 64},
}
LOADERS = {
    "loader_least": {"rows": 1, "lanes": 2, "beat_bytes": 8, "depth": 12},
    "loader_odd": {"rows": 3, "lanes": 2, "beat_bytes": 32, "depth": 40},
    "loader_wide": {"rows": 4, "lanes": 4, "beat_bytes": 16, "depth": 20},
}


def test_loads(simulate):
    simulate(
        {
            **{name: RowTable(**sizes) for name, sizes in TABLES.items()},
            **{name: RowLoader(**sizes) for name, sizes in LOADERS.items()},
        },
        "tests.hw.loading_bench",
    )


@pytest.mark.parametrize(
    "change,message",
    [
        ({"rows": 0}, "rows must be a positive integer, not 0"),
        ({"beat_bytes": 4}, "beat_bytes must be 8, 16, 32 or 64, not 4"),
        ({"beat_bytes": 128}, "beat_bytes must be 8, 16, 32 or 64, not 128"),
    ],
)
def test_table_sizes_checked(change, message):
    with pytest.raises(ValueError, match=message):
        RowTable(**{**TABLES["table_odd"], **change})


def test_loader_sizes_checked():
    with pytest.raises(ValueError, match="beat_bytes must be a multiple of 4 x lanes = 16, not 8"):
        RowLoader(rows=1, lanes=4, beat_bytes=8, depth=4)
