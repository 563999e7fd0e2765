"""terntable.hw.sequencer: what it reads, what it starts, and what it refuses."""

import pytest

from terntable.hw.sequencer import Sequencer
from terntable.hw.spec.program import Op

LIMITS = {
    Op.EMBED: 48,
    Op.ROPE: 8,
    Op.VEC: 160,
    Op.MATMUL: 160,
    Op.KV_STORE: 32,
    Op.ATTENTION: 16,
    Op.HEAD: 70000,
    Op.MOVE: 32,
    Op.SHORTLIST: 70004,
}
SETS = {
    "least": {"beat_bytes": 8, "rows": 1, "limits": LIMITS, "max_inputs": 80},
    "odd": {"beat_bytes": 16, "rows": 3, "limits": LIMITS, "max_inputs": 80},
    "wide": {"beat_bytes": 64, "rows": 8, "limits": LIMITS, "max_inputs": 80},
}


def test_runs_programs(simulate):
    simulate({name: Sequencer(**sizes) for name, sizes in SETS.items()}, "tests.hw.sequencer_bench")


@pytest.mark.parametrize("size", [4, 12, 128])
def test_beat_checked(size):
    with pytest.raises(ValueError, match=f"beat_bytes must be 8, 16, 32 or 64, not {size}"):
        Sequencer(**{**SETS["odd"], "beat_bytes": size})
