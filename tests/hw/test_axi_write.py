"""The AXI write master: every pin in every cycle, memory that stalls, errors and aborts."""

import pytest

from terntable.hw.axi_write import AxiWrite
from tests.hw.axi_memory import Flat

SETS = {
    "narrow": dict(beat_bytes=8, burst_beats=64, outstanding=4),
    "odd": dict(beat_bytes=16, burst_beats=4, outstanding=1),
    "wide": dict(beat_bytes=64, burst_beats=1, outstanding=3),
}


def test_matches_twin(simulate):
    simulate({name: Flat(AxiWrite(**sizes)) for name, sizes in SETS.items()}, "tests.hw.axi_write_bench")


@pytest.mark.parametrize(("wrong", "message"), [
    (dict(beat_bytes=24), "beat_bytes must be a power of two from 4 to 128, not 24"),
    (dict(burst_beats=128), "burst_beats must be a power of two from 1 to 64, not 128"),
    (dict(outstanding=0), "outstanding must be an integer of at least 1, not 0"),
])
def test_parameters_checked(wrong, message):
    with pytest.raises(ValueError, match=message):
        AxiWrite(**{**dict(beat_bytes=64, burst_beats=16, outstanding=2), **wrong})
