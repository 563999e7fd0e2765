"""terntable.hw.tlmm against its twin, and the twin against plain integers."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terntable.hw.spec.config import PRESETS
from terntable.hw.tlmm import Tlmm
from terntable.models.golden.tlmm import cycles, ternary_matmul
from terntable.quant.beats import BeatGeometry, pack_matrix

SETS = {
    "tiny": {"rows": 2, "lanes": 2, "beat_bytes": 8, "max_outputs": 96, "max_inputs": 256},
    "nano": {"rows": 3, "lanes": 2, "beat_bytes": 16, "max_outputs": 96, "max_inputs": 80},
    "square": {"rows": 1, "lanes": 4, "beat_bytes": 16, "max_outputs": 64, "max_inputs": 120},
}


@dataclass
class Product:
    """One command: activations ``(rows, inputs)``, codes ``(outputs, inputs)`` and the beats of the codes."""

    act: np.ndarray
    codes: np.ndarray
    beats: np.ndarray


def products(rows: int, lanes: int, beat_bytes: int, seed: int) -> list[Product]:
    """The largest sums first; then one word, one beat a tile, little more than a tile, padding."""
    geometry = BeatGeometry(beat_bytes=beat_bytes, outputs=lanes)
    tile = geometry.inputs
    rng = np.random.default_rng(seed)
    made: list[Product] = []
    shapes = [(2 * tile, 4 * lanes), (lanes, lanes), (3 * tile, lanes), (tile + lanes, 2 * lanes),
              (2 * tile - lanes, 16 * lanes - 1)]
    for inputs, outputs in shapes:
        act = rng.integers(-128, 128, (rows, inputs)).astype(np.int8)
        codes = rng.integers(-1, 2, (outputs, inputs)).astype(np.int8)
        if not made:
            act[:], codes[:] = -128, rng.permutation(np.arange(outputs) % 2 * 2 - 1)[:, None]
        made.append(Product(act, codes, pack_matrix(codes, geometry)[0]))
    return made


def test_matches_twin(simulate):
    simulate({name: Tlmm(**sizes) for name, sizes in SETS.items()}, "tests.hw.tlmm_bench")


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
    """One tile of 20 columns in 10 words (cycles 1 to 10), one beat.

    The last word in 10, entries written from 14 to 40, the beat in 41, decoded in 42, looked up from 42, its
    sums there in 45, stored in 46, done in 47.
    """
    assert cycles(20, 2, BeatGeometry(beat_bytes=8, outputs=2)) == 47


def test_cycles_come_near_one_a_beat():
    geometry = BeatGeometry(beat_bytes=8, outputs=2)
    assert cycles(256, 512, geometry) - geometry.tiles(256) * 256 < 50


def test_presets_fit():
    for config in PRESETS.values():
        Tlmm(rows=config.rows, lanes=config.lanes, beat_bytes=config.beat_bytes,
             max_outputs=config.max_outputs, max_inputs=config.max_activations)


@pytest.mark.parametrize("wrong, sentence", [
    ({"rows": 0}, "rows must be a positive integer, not 0"),
    ({"max_inputs": 2.0}, "max_inputs must be a positive integer, not 2.0"),
    ({"lanes": 3}, "lanes must be a power of two, not 3"),
    ({"beat_bytes": 12}, "beat_bytes must be a power of two, not 12"),
    ({"beat_bytes": 1}, "beat_bytes must be a multiple of lanes = 2, not 1"),
    ({"lanes": 8, "beat_bytes": 32}, "lanes must divide the 20 columns of a tile.*but it is 8"),
    ({"max_outputs": 65536}, "max_outputs must be at most 65535.*not 65536"),
    ({"max_inputs": 70000}, "max_inputs must be at most 65535.*not 70000"),
])
def test_parameters_checked(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        Tlmm(**{"rows": 1, "lanes": 2, "beat_bytes": 8, "max_outputs": 8, "max_inputs": 8, **wrong})
