"""terntable.hw.vector: what it makes of memories that the bench models, against the lanes' twin."""

import pytest

from terntable.hw.vector import VectorUnit

SETS = {
    "least": {"rows": 1, "lanes": 2, "beat_bytes": 8},
    "odd": {"rows": 2, "lanes": 2, "beat_bytes": 32},
    "wide": {"rows": 1, "lanes": 4, "beat_bytes": 64},
}

#: Columns of the buffers that the bench puts around each.
COLUMNS = {"least": 64, "odd": 96, "wide": 128}


def test_matches_twin(simulate):
    simulate({name: VectorUnit(**sizes) for name, sizes in SETS.items()}, "tests.hw.vector_bench")


def test_sizes_checked():
    with pytest.raises(ValueError, match="beat_bytes must be a multiple of 4 x lanes = 16, not 8"):
        VectorUnit(rows=1, lanes=4, beat_bytes=8)
