"""The beat order against a plain loop, round trips at odd sizes, and refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terntable.quant.base3 import ZERO_BYTE
from terntable.quant.beats import BeatGeometry, Padding, pack_matrix, unpack_matrix


def slow_pack(codes, geometry):
    """The beats as nested lists, written as the order is worded."""
    rows, columns = codes.shape
    groups = geometry.beat_bytes // geometry.outputs
    inputs = 5 * groups
    beats = []
    for k0 in range(0, columns, inputs):
        for n0 in range(0, rows, geometry.outputs):
            beat = [0] * geometry.beat_bytes
            for r in range(geometry.outputs):
                for t in range(groups):
                    for j in range(5):
                        n, k = n0 + r, k0 + 5 * t + j
                        trit = int(codes[n, k]) if n < rows and k < columns else 0
                        beat[r * groups + t] += (trit + 1) * 3**j
            beats.append(beat)
    return beats


GEOMETRIES = st.builds(lambda outputs, groups: BeatGeometry(beat_bytes=outputs * groups, outputs=outputs),
                       st.integers(1, 9), st.integers(1, 7))


@settings(max_examples=60, deadline=None)
@given(GEOMETRIES, st.integers(1, 30), st.integers(1, 80), st.integers(0, 2**32 - 1))
def test_beats_are_those_of_the_plain_loop_and_come_back(geometry, rows, columns, seed):
    codes = np.random.default_rng(seed).integers(-1, 2, (rows, columns), np.int8)
    beats, padding = pack_matrix(codes, geometry)
    assert beats.dtype == np.uint8 and beats.flags.c_contiguous
    assert beats.tolist() == slow_pack(codes, geometry)
    assert padding == Padding(weights=rows * columns, stored=5 * beats.size)
    assert 0 <= padding.share < 1
    unpacked = unpack_matrix(beats, rows, columns, geometry)
    assert unpacked.dtype == np.int8
    np.testing.assert_array_equal(unpacked, codes)


def test_the_engine_of_the_board():
    geometry = BeatGeometry(beat_bytes=64, outputs=16)
    assert (geometry.groups, geometry.inputs) == (4, 20)
    codes = np.ones((1536, 1536), np.int8)
    beats, padding = pack_matrix(codes, geometry)
    assert beats.shape == (77 * 96, 64)
    # 1536 columns fill 76.8 tiles of 20.
    assert padding.share == pytest.approx(1 - 1536 / 1540)


def test_padding_is_zero_trits():
    beats, padding = pack_matrix(np.ones((1, 5), np.int8), BeatGeometry(beat_bytes=4, outputs=2))
    assert beats.tolist() == [[242, ZERO_BYTE, ZERO_BYTE, ZERO_BYTE]]
    assert padding.share == 0.75
    assert Padding(weights=10, stored=10).share == 0


@pytest.mark.parametrize(("beat_bytes", "outputs", "sentence"), [
    (64, 0, "outputs is 0, but must be at least 1"),
    (64, 12, "beat_bytes is 64, but must be a positive multiple of outputs, 12"),
    (0, 4, "beat_bytes is 0, but must be a positive multiple of outputs, 4"),
    (-8, 4, "beat_bytes is -8"),
])
def test_refused_geometry(beat_bytes, outputs, sentence):
    with pytest.raises(ValueError, match=sentence):
        BeatGeometry(beat_bytes=beat_bytes, outputs=outputs)


def test_refused_codes():
    geometry = BeatGeometry(beat_bytes=8, outputs=4)
    with pytest.raises(ValueError, match=r"codes holds 2 at index \(0, 1\), but a trit is -1, 0 or 1"):
        pack_matrix(np.array([[0, 2]], np.int8), geometry)
    for shape in ((5,), (0, 5), (5, 0), (2, 2, 2)):
        with pytest.raises(ValueError, match="must be a matrix with at least one element"):
            pack_matrix(np.zeros(shape, np.int8), geometry)


def test_refused_beats():
    geometry = BeatGeometry(beat_bytes=8, outputs=4)
    beats, _ = pack_matrix(np.zeros((6, 12), np.int8), geometry)
    with pytest.raises(ValueError, match=r"beats have shape \(3, 8\), but 6 x 12 codes take \(4, 8\)"):
        unpack_matrix(beats[:3], 6, 12, geometry)
    with pytest.raises(ValueError, match="the matrix has 0 rows and 12 columns, but needs at least 1"):
        unpack_matrix(beats, 0, 12, geometry)
    illegal = beats.copy()
    illegal[2, 3] = 250
    with pytest.raises(ValueError, match=r"packed bytes hold 250 at index \(2, 3\)"):
        unpack_matrix(illegal, 6, 12, geometry)
    # The last byte of the second beat belongs to row 7, of which there is none; byte 1 of the third beat
    # holds columns 15 to 19.
    for place in ((1, 7), (2, 1)):
        dirty = beats.copy()
        dirty[place] = ZERO_BYTE + 1
        with pytest.raises(ValueError, match="padding trit that is not zero outside 6 x 12 codes"):
            unpack_matrix(dirty, 6, 12, geometry)
