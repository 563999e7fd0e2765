"""terntable.hw.table_builder against its twin, and the twin against plain integers."""

import numpy as np
import pytest

from terntable.hw.spec.lookup import WALK, build_parts
from terntable.hw.table_builder import TableBuilder
from terntable.models.golden import table_builder as twin

SETS = {
    "even": {"rows": 2, "lanes": 2, "groups": 4, "parts": 2},
    "tall": {"rows": 3, "lanes": 1, "groups": 1, "parts": 1},
    "slow": {"rows": 1, "lanes": 1, "groups": 12, "parts": 2},
    "four": {"rows": 1, "lanes": 4, "groups": 16, "parts": 4},
}


def vectors(rows: int, groups: int, seed: int) -> np.ndarray:
    """Tiles ``(tiles, rows, columns)``: corners first, so that every largest sum is in each run."""
    tiles = np.random.default_rng(seed).integers(-128, 128, (8, rows, 3 * groups)).astype(np.int8)
    for n, corner in enumerate((-128, 127, 0)):
        tiles[n] = corner
    tiles[3, :, ::2], tiles[3, :, 1::2] = 127, -128
    return tiles


class Timing:
    """Cycle model of the builder: its state from one cycle to the next, given what moves."""

    def __init__(self, words: int, parts: int):
        self.words, self.parts = words, parts
        self.word, self.whole, self.next = 0, False, 0    # words collected, a part is whole, its number
        self.entry, self.part = -1, 0                     # being built; entry -1: nothing is
        self.stages = [-1, -1]                            # the entry in each of the two stages, the first one first

    def moves(self, go: bool) -> bool:
        """Whether a whole part goes over to being built in this cycle."""
        return self.whole and self.entry in (-1, twin.BUILD_CYCLES - 1) and (go or self.next > 0)

    def ready(self, go: bool) -> bool:
        """Whether a word would be accepted in this cycle."""
        return not self.whole or self.moves(go)

    def begins(self, go: bool) -> bool:
        """Whether a tile is begun in this cycle."""
        return self.moves(go) and self.next == 0

    @property
    def ends(self) -> bool:
        """Whether a tile's last entry is on its way in this cycle."""
        return self.entry == twin.BUILD_CYCLES - 1 and self.part == self.parts - 1

    @property
    def valid(self) -> bool:
        """Whether an entry comes out in this cycle."""
        return self.stages[1] >= 0

    def advance(self, fed: bool, go: bool) -> None:
        """One cycle, in which a word was accepted."""
        moving = self.moves(go)
        self.stages = [self.entry, self.stages[0]]
        if self.entry >= 0:
            self.entry = self.entry + 1 if self.entry < twin.BUILD_CYCLES - 1 else -1
        if moving:
            self.entry, self.part, self.whole = 0, self.next, False
            self.next = (self.next + 1) % self.parts
        if fed:
            self.word = (self.word + 1) % self.words
            self.whole = self.word == 0


def test_matches_twin(simulate):
    simulate({name: TableBuilder(**sizes) for name, sizes in SETS.items()}, "tests.hw.table_builder_bench")


def test_latency_is_the_twins():
    assert TableBuilder.LATENCY == twin.LATENCY


def test_twin_by_plain_integers():
    columns = vectors(3, 2, seed=1)[4]
    table = twin.build_tables(columns)
    assert table.shape == (14, 2, 3) and table.dtype == np.int32
    for e, trits in enumerate(WALK):
        for t in range(2):
            for r in range(3):
                assert table[e, t, r] == sum(w * int(a) for w, a in zip(trits, columns[r, 3 * t:3 * t + 3], strict=True))


@pytest.mark.parametrize("groups, lanes, cells, parts", [
    (16, 2, 64, 2), (4, 2, 32, 1), (8, 2, 4, 1), (16, 2, 56, 2), (16, 2, 55, 1), (16, 2, 1000, 8), (16, 4, 1000, 4),
    (6, 1, 1000, 2),
])
def test_parts(groups, lanes, cells, parts):
    """Two builds of 14 entries in half of 56 cycles; never half a group, nor half a word."""
    assert build_parts(groups=groups, lanes=lanes, cells=cells) == parts
    TableBuilder(rows=1, lanes=lanes, groups=groups, parts=parts)


@pytest.mark.parametrize("name", ["rows", "lanes", "groups", "parts"])
@pytest.mark.parametrize("value", [0, 2.0])
def test_sizes_checked(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a positive integer, not {value}"):
        TableBuilder(**{"rows": 1, "lanes": 1, "groups": 1, "parts": 1, name: value})


def test_parts_checked():
    with pytest.raises(ValueError, match="parts must divide groups = 4, but it is 3"):
        TableBuilder(rows=1, lanes=1, groups=4, parts=3)
    with pytest.raises(ValueError, match="lanes must divide the 6 columns of a part.*but it is 4"):
        TableBuilder(rows=1, lanes=4, groups=4, parts=2)
