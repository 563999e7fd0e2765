"""Bursts of a request: the twin against a loop over beats, the splitter against the twin."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terntable.hw.axi_burst import BurstSplitter
from terntable.models.golden.axi_burst import bursts

SETS = {
    "narrow": dict(beat_bytes=8, burst_beats=64),
    "single": dict(beat_bytes=16, burst_beats=1),
    "wide": dict(beat_bytes=128, burst_beats=32),
}


def naive(address: int, beats: int, beat_bytes: int, burst_beats: int) -> list[tuple[int, int]]:
    """Beat by beat: a beat at a multiple of the burst size begins a burst."""
    cut: list[list[int]] = []
    for k in range(beats):
        place = address + k * beat_bytes
        if k == 0 or place % (burst_beats * beat_bytes) == 0:
            cut.append([place, 0])
        cut[-1][1] += 1
    return [(place, count) for place, count in cut]


@given(
    place=st.integers(0, 1 << 58), beats=st.integers(1, 700), low=st.integers(2, 7), burst=st.integers(0, 8)
)
def test_twin_matches_loop(place, beats, low, burst):
    size, length = 1 << low, min(1 << burst, 4096 >> low)
    cut = bursts(place * size, beats, beat_bytes=size, burst_beats=length)
    assert cut == naive(place * size, beats, size, length)
    assert all(address >> 12 == (address + count * size - 1) >> 12 for address, count in cut)


def test_by_hand():
    """Two beats before a boundary of 4 beats, a whole burst, one beat after it."""
    assert bursts(0x30, 7, beat_bytes=8, burst_beats=4) == [(0x30, 2), (0x40, 4), (0x60, 1)]


def test_matches_twin(simulate):
    simulate({name: BurstSplitter(**sizes) for name, sizes in SETS.items()}, "tests.hw.axi_burst_bench")


@pytest.mark.parametrize(("wrong", "message"), [
    (dict(beat_bytes=12), "beat_bytes must be a power of two from 4 to 128, not 12"),
    (dict(beat_bytes=2), "not 2"),
    (dict(burst_beats=0), "burst_beats must be a power of two from 1 to 256, not 0"),
    (dict(burst_beats=512), "from 1 to 256, not 512"),
    (dict(beat_bytes=128, burst_beats=64), "from 1 to 32, not 64"),
])
def test_parameters_checked(wrong, message):
    with pytest.raises(ValueError, match=message):
        BurstSplitter(**{**dict(beat_bytes=8, burst_beats=16), **wrong})
