"""terntable.hw.tlmm against its twin, and the twin against plain integers."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terntable.hw.block_sums import BlockSums
from terntable.hw.cell_issue import CellIssue
from terntable.hw.column_feed import ColumnFeed
from terntable.hw.spec.config import PRESETS
from terntable.hw.tlmm import Tlmm
from terntable.models.golden import tlmm as twin
from terntable.models.golden.tlmm import cycles, ternary_matmul
from terntable.quant.beats import BeatGeometry, pack_matrix

#: The first three have the groups, cells of a block and so the parts of the presets tiny, nano and kv260.
SETS = {
    "tiny": {"rows": 2, "lanes": 2, "word_bytes": 16, "outputs": 4, "block_outputs": 128, "max_outputs": 512, "max_inputs": 256},
    "nano": {"rows": 3, "lanes": 2, "word_bytes": 16, "outputs": 2, "block_outputs": 8, "max_outputs": 96, "max_inputs": 80,
             "queue_words": 4},
    "board": {"rows": 1, "lanes": 2, "word_bytes": 16, "outputs": 1, "block_outputs": 64, "max_outputs": 128, "max_inputs": 300},
    "least": {"rows": 1, "lanes": 1, "word_bytes": 1, "outputs": 1, "block_outputs": 1, "max_outputs": 9, "max_inputs": 12,
              "queue_words": 3},
    "odd": {"rows": 1, "lanes": 1, "word_bytes": 10, "outputs": 2, "block_outputs": 4, "max_outputs": 32, "max_inputs": 64,
            "queue_words": 5},
}


#: As many outputs as a vocabulary has.
MANY = {"rows": 1, "lanes": 1, "word_bytes": 16, "outputs": 16, "block_outputs": 64, "max_outputs": 70_000, "max_inputs": 3}


def geometry_of(name: str) -> BeatGeometry:
    return BeatGeometry(**{key: SETS[name][key] for key in ("word_bytes", "outputs", "block_outputs")})


@dataclass
class Product:
    """One command: activations ``(rows, inputs)``, codes ``(outputs, inputs)`` and the words of the codes."""

    act: np.ndarray
    codes: np.ndarray
    words: np.ndarray


def products(name: str, seed: int) -> list[Product]:
    """The largest sums first; then one column, tiles of a cell, a column of the last tile, more than a block, whole blocks."""
    rows, outputs, geometry = SETS[name]["rows"], SETS[name]["outputs"], geometry_of(name)
    tile, block = geometry.tile_inputs, geometry.block_outputs
    rng = np.random.default_rng(seed)
    made: list[Product] = []
    shapes = [(2 * tile, 4 * outputs), (1, outputs), (4 * tile, outputs), (tile + 1, 2 * outputs),
              (2 * tile - 1, block + 3 * outputs),
              (3 * tile - 2, 2 * block), (tile, 3 * outputs)]
    for inputs, count in shapes:
        act = rng.integers(-128, 128, (rows, inputs)).astype(np.int8)
        codes = rng.integers(-1, 2, (count, inputs)).astype(np.int8)
        if not made:
            act[:], codes[:] = -128, rng.permutation(np.arange(count) % 2 * 2 - 1)[:, None]
        made.append(Product(act, codes, pack_matrix(codes, geometry)[0]))
    return made


def test_matches_twin(simulate):
    simulate({name: Tlmm(**sizes) for name, sizes in (SETS | {"many": MANY}).items()}, "tests.hw.tlmm_bench")


def test_turnaround_is_the_twins():
    assert BlockSums.TURNAROUND == twin.TURNAROUND


@given(rows=st.integers(1, 3), inputs=st.integers(1, 40), outputs=st.integers(1, 6), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_twin_by_plain_integers(rows, inputs, outputs, seed):
    rng = np.random.default_rng(seed)
    act = rng.integers(-128, 128, (rows, inputs)).astype(np.int8)
    codes = rng.integers(-1, 2, (outputs, inputs)).astype(np.int8)
    expected = [[sum(int(a) * int(w) for a, w in zip(x, row, strict=True)) for row in codes] for x in act]
    got = ternary_matmul(act, codes)
    assert got.dtype == np.int32
    assert got.tolist() == expected
    assert ternary_matmul(act, codes.astype(np.float32)).tolist() == expected


def test_twin_is_exact_beyond_float32():
    """2**24 + 127 and its like are no float32 numbers; the sums must be right nevertheless."""
    act = np.full((2, 300_001), -128, np.int8)
    act[:, -1] = [1, -127]
    assert ternary_matmul(act, np.ones((1, 300_001), np.int8)).tolist() == [[-38_399_999], [-38_400_127]]


def test_twin_refuses_shapes():
    with pytest.raises(ValueError, match=r"act has shape \(1, 4\) and codes \(2, 5\)"):
        ternary_matmul(np.zeros((1, 4), np.int8), np.zeros((2, 5), np.int8))


def test_cycles_by_hand():
    """One tile of 12 columns in 6 words, one cell.

    The words come in cycles 3 to 8. The builder takes them over in 9 and goes through its entries in 10 to 23. The cell comes in
    24, its lookups in 27, their sums in 29, the total in 30, which goes into the queue and is offered in 32.
    """
    assert cycles(12, 4, BeatGeometry(word_bytes=16, outputs=4, block_outputs=128), lanes=2) == 32


def test_cycles_come_near_one_a_cell():
    """Whole blocks and half ones, for the board and for the preset that is simulated most."""
    for config in (PRESETS["kv260"], PRESETS["tiny"]):
        geometry = BeatGeometry(word_bytes=config.word_bytes, outputs=config.outputs, block_outputs=config.block_outputs)
        for outputs in (8 * config.block_outputs, config.block_outputs // 2):
            assert cycles(2560, outputs, geometry, config.lanes) - geometry.cells(outputs, 2560) < 70


def test_presets_fit():
    for config in PRESETS.values():
        Tlmm(rows=config.rows, lanes=config.lanes, word_bytes=config.word_bytes, outputs=config.outputs,
             block_outputs=config.block_outputs, max_outputs=max(config.max_outputs, config.max_vocab),
             max_inputs=config.max_activations, queue_words=config.partial_columns // config.outputs)


@pytest.mark.parametrize("wrong, sentence", [
    ({"rows": 0}, "rows must be a positive integer, not 0"),
    ({"max_inputs": 2.0}, "max_inputs must be a positive integer, not 2.0"),
    ({"lanes": 3}, "lanes must be a power of two, not 3"),
    ({"outputs": 3}, "outputs must be a power of two, not 3"),
    ({"word_bytes": 13}, "word_bytes must be a multiple of outputs = 2, not 13"),
    ({"block_outputs": 7}, "block_outputs must be a multiple of outputs = 2, not 7"),
    ({"lanes": 8}, "lanes must divide the 12 columns of a tile.*but it is 8"),
    ({"max_outputs": 131072}, "max_outputs must be at most 131070, 2 times.*not 131072"),
    ({"max_inputs": 70000}, "max_inputs must be at most 65535.*not 70000"),
    ({"queue_words": 2}, "queue_words must be an integer of at least 3, not 2"),
])
def test_parameters_checked(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        Tlmm(**{"rows": 1, "lanes": 2, "word_bytes": 8, "outputs": 2, "block_outputs": 8, "max_outputs": 8, "max_inputs": 8,
                **wrong})


@pytest.mark.parametrize("unit, right, wrong, sentence", [
    (BlockSums, {"rows": 1, "outputs": 1, "words": 1, "term_bits": 4, "sum_bits": 5}, {"words": 0},
     "words must be a positive integer, not 0"),
    (BlockSums, {"rows": 1, "outputs": 1, "words": 1, "term_bits": 4, "sum_bits": 5}, {"sum_bits": 3},
     "sum_bits must be an integer of at least term_bits = 4, not 3"),
    (ColumnFeed, {"rows": 1, "lanes": 1, "block_cells": 1, "tile_words": 1, "depth": 1}, {"tile_words": 0},
     "tile_words must be a positive integer, not 0"),
    (ColumnFeed, {"rows": 1, "lanes": 1, "block_cells": 1, "tile_words": 1, "depth": 1}, {"lanes": 6},
     "lanes must be a power of two, not 6"),
    (CellIssue, {"block_cells": 1}, {"block_cells": 0}, "block_cells must be a positive integer, not 0"),
])
def test_sizes_of_parts_checked(unit, right, wrong, sentence):
    unit(**right)
    with pytest.raises(ValueError, match=sentence):
        unit(**{**right, **wrong})
