"""The AXI read master: every pin in every cycle, data from a memory that stalls, errors and aborts."""

import pytest

from terntable.hw.axi_read import AxiRead
from tests.hw.axi_memory import Flat

SETS = {
    "narrow": dict(beat_bytes=8, burst_beats=64, outstanding=8),
    "odd": dict(beat_bytes=16, burst_beats=4, outstanding=1),
    "wide": dict(beat_bytes=64, burst_beats=1, outstanding=3),
}


def test_matches_twin(simulate):
    simulate({name: Flat(AxiRead(**sizes)) for name, sizes in SETS.items()}, "tests.hw.axi_read_bench")


@pytest.mark.parametrize(("wrong", "message"), [
    (dict(beat_bytes=24), "beat_bytes must be a power of two from 4 to 128, not 24"),
    (dict(beat_bytes=256), "not 256"),
    (dict(burst_beats=3), "burst_beats must be a power of two from 1 to 64, not 3"),
    (dict(burst_beats=128), "from 1 to 64, not 128"),
    (dict(outstanding=0), "outstanding must be an integer of at least 1, not 0"),
])
def test_parameters_checked(wrong, message):
    with pytest.raises(ValueError, match=message):
        AxiRead(**{**dict(beat_bytes=64, burst_beats=16, outstanding=2), **wrong})
