"""terntable.hw.table_builder against its twin, and the twin against plain integers."""

import numpy as np
import pytest

from terntable.hw.table_builder import TableBuilder
from terntable.models.golden import table_builder as twin

SETS = {
    "even": {"rows": 2, "lanes": 2, "groups": 4},
    "tall": {"rows": 3, "lanes": 1, "groups": 1},
    "surplus": {"rows": 1, "lanes": 4, "groups": 2},
}


def vectors(rows: int, groups: int, seed: int) -> np.ndarray:
    """Tiles ``(tiles, rows, columns)``: corners first, so that every largest sum is in each run."""
    tiles = np.random.default_rng(seed).integers(-128, 128, (8, rows, 5 * groups)).astype(np.int8)
    for n, corner in enumerate((-128, 127, 0)):
        tiles[n] = corner
    tiles[3, :, ::2], tiles[3, :, 1::2] = 127, -128
    return tiles


class Timing:
    """Cycle model of the builder: its state from one cycle to the next, given what moves."""

    def __init__(self, words: int):
        self.words = words
        self.word, self.whole, self.entry = 0, False, -1    # entry -1: nothing is being built
        self.stage, self.offered = -1, -1                   # the entry in each of the two stages

    @property
    def ready(self) -> bool:
        """Whether a word would be accepted in this cycle."""
        return not self.whole

    @property
    def valid(self) -> bool:
        """Whether an entry is offered in this cycle."""
        return self.offered >= 0

    def advance(self, fed: bool, taken: bool) -> None:
        """One cycle, in which a word was accepted, and the entry on offer would be taken."""
        step = not self.valid or taken
        move = self.whole and (self.entry < 0 or step and self.entry == twin.BUILD_CYCLES - 1)
        if step:
            self.offered, self.stage = self.stage, self.entry
            if self.entry >= 0:
                self.entry = self.entry + 1 if self.entry < twin.BUILD_CYCLES - 1 else -1
        if move:
            self.entry, self.whole = 0, False
        if fed:
            self.word = (self.word + 1) % self.words
            self.whole = self.word == 0


def test_matches_twin(simulate):
    simulate({name: TableBuilder(**sizes) for name, sizes in SETS.items()}, "tests.hw.table_builder_bench")


def test_latency_is_the_twins():
    assert TableBuilder.LATENCY == twin.LATENCY


def test_twin_by_plain_integers():
    columns = vectors(3, 2, seed=1)[4]
    low, high = twin.build_tables(columns)
    assert low.shape == high.shape == (27, 2, 3)
    for e in range(27):
        d = [e % 3 - 1, e // 3 % 3 - 1, e // 9 - 1]
        for t in range(2):
            for r in range(3):
                a = [int(x) for x in columns[r, 5 * t:5 * t + 5]]
                assert low[e, t, r] == d[0] * a[0] + d[1] * a[1] + d[2] * a[2]
                assert high[e, t, r] == (d[0] * a[3] + d[1] * a[4] if e < 9 else 0)


@pytest.mark.parametrize("name", ["rows", "lanes", "groups"])
@pytest.mark.parametrize("value", [0, 2.0])
def test_sizes_checked(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a positive integer, not {value}"):
        TableBuilder(**{"rows": 1, "lanes": 1, "groups": 1, name: value})
