"""terntable.hw.read_mux: every client gets its own beats, in the order of its requests."""

import pytest

from terntable.hw.read_mux import ReadMux

SETS = {
    "two": {"clients": ("a", "b"), "beat_bytes": 8, "depth": 3},
    "three": {"clients": ("first", "second", "third"), "beat_bytes": 16, "depth": 4},
    "four": {"clients": ("a", "b", "c", "d"), "beat_bytes": 8},
}


def test_gives_each_its_own(simulate):
    simulate({name: ReadMux(**sizes) for name, sizes in SETS.items()}, "tests.hw.read_mux_bench")


@pytest.mark.parametrize(("change", "text"), [
    ({"clients": ("a",)}, r"clients must be two or more different names, not \('a',\)"),
    ({"clients": ("a", "a")}, "clients must be two or more different names"),
    ({"depth": 2}, "depth must be an integer of at least 3, not 2"),
])
def test_bad_parameters(change, text):
    with pytest.raises(ValueError, match=text):
        ReadMux(**{**SETS["two"], **change})
