"""The word order against a plain loop, round trips at odd sizes, and refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terntable.quant.base3 import ZERO_BYTE
from terntable.quant.beats import BeatGeometry, Padding, pack_matrix, unpack_matrix


def slow_pack(codes, geometry):
    """The words as nested lists, written as the order is worded."""
    rows, columns = codes.shape
    groups = geometry.word_bytes // geometry.outputs
    lanes = [[] for _ in range(geometry.word_bytes)]    # the trits of each byte lane
    for n0 in range(0, rows, geometry.block_outputs):
        for k0 in range(0, columns, 3 * groups):
            for n1 in range(n0, min(n0 + geometry.block_outputs, rows), geometry.outputs):
                for r in range(geometry.outputs):
                    for t in range(groups):
                        for k in range(k0 + 3 * t, k0 + 3 * t + 3):
                            lanes[r * groups + t].append(int(codes[n1 + r, k]) if k < columns else 0)
    words = []
    while lanes[0]:
        words += [[0] * geometry.word_bytes for _ in range(3)]
        for j, lane in enumerate(lanes):
            frame, lane[:15] = lane[:15] + [0] * (15 - len(lane[:15])), []
            for place, trit in enumerate(frame):
                words[place // 5 - 3][j] += (trit + 1) * 3 ** (place % 5)
    return words


@st.composite
def geometries(draw):
    outputs, groups, cells = draw(st.integers(1, 5)), draw(st.integers(1, 5)), draw(st.integers(1, 4))
    return BeatGeometry(word_bytes=outputs * groups, outputs=outputs, block_outputs=outputs * cells)


@settings(max_examples=60, deadline=None)
@given(geometries(), st.integers(1, 7), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_words_are_those_of_the_plain_loop_and_come_back(geometry, cells, columns, seed):
    rows = cells * geometry.outputs
    codes = np.random.default_rng(seed).integers(-1, 2, (rows, columns), np.int8)
    words, padding = pack_matrix(codes, geometry)
    assert words.dtype == np.uint8 and words.flags.c_contiguous
    assert words.tolist() == slow_pack(codes, geometry)
    assert words.shape == (geometry.words(rows, columns), geometry.word_bytes)
    assert padding == Padding(weights=rows * columns, stored=5 * words.size)
    assert 0 <= padding.share < 1
    unpacked = unpack_matrix(words, rows, columns, geometry)
    assert unpacked.dtype == np.int8 and unpacked.flags.c_contiguous
    np.testing.assert_array_equal(unpacked, codes)


def test_the_engine_of_the_board():
    geometry = BeatGeometry(word_bytes=128, outputs=8, block_outputs=512)
    assert (geometry.groups, geometry.tile_inputs) == (16, 48)
    assert geometry.blocks(1280) == [512, 512, 256]
    codes = np.random.default_rng(3).integers(-1, 2, (2560, 2500), np.int8)
    words, padding = pack_matrix(codes, geometry)
    # 2500 columns fill 52.1 tiles of 48; 53 tiles of 320 cells are 3392 frames.
    assert geometry.cells(2560, 2500) == 53 * 320
    assert words.shape == (3392 * 3, 128)
    assert padding.share == pytest.approx(1 - 2500 / (53 * 48))
    np.testing.assert_array_equal(unpack_matrix(words, 2560, 2500, geometry), codes)


def test_every_type_of_integers_is_packed_alike():
    geometry = BeatGeometry(word_bytes=8, outputs=4, block_outputs=8)
    codes = np.random.default_rng(4).integers(-1, 2, (12, 9))
    expected = pack_matrix(codes.astype(np.int8), geometry)[0]
    for kind in (np.int16, np.int64):
        np.testing.assert_array_equal(pack_matrix(codes.astype(kind), geometry)[0], expected)
    np.testing.assert_array_equal(pack_matrix(codes[::-1, ::-1][::-1, ::-1], geometry)[0], expected)


def test_padding_is_zero_trits():
    words, padding = pack_matrix(np.ones((2, 5), np.int8), BeatGeometry(word_bytes=4, outputs=2, block_outputs=2))
    # One cell. Each row's first lookup has three ones, the second two and a zero; the others of the frame are zeros.
    full, part = 26 + 27 * 4, 26 - 9 + 27 * 4
    assert words.tolist() == [[full, part, full, part], [ZERO_BYTE] * 4, [ZERO_BYTE] * 4]
    assert padding == Padding(weights=10, stored=60)
    assert Padding(weights=10, stored=10).share == 0


@pytest.mark.parametrize(("word_bytes", "outputs", "block_outputs", "sentence"), [
    (64, 0, 8, "outputs is 0, but must be at least 1"),
    (64, 12, 24, "word_bytes is 64, but must be a positive multiple of outputs, 12"),
    (0, 4, 8, "word_bytes is 0, but must be a positive multiple of outputs, 4"),
    (-8, 4, 8, "word_bytes is -8"),
    (8, 4, 6, "block_outputs is 6, but must be a positive multiple of outputs, 4"),
    (8, 4, 0, "block_outputs is 0"),
])
def test_refused_geometry(word_bytes, outputs, block_outputs, sentence):
    with pytest.raises(ValueError, match=sentence):
        BeatGeometry(word_bytes=word_bytes, outputs=outputs, block_outputs=block_outputs)


def test_refused_codes():
    geometry = BeatGeometry(word_bytes=8, outputs=4, block_outputs=8)
    with pytest.raises(ValueError, match=r"codes holds 2 at index \(0, 1\), but a trit is -1, 0 or 1"):
        pack_matrix(np.array([[0, 2]] * 4, np.int8), geometry)
    with pytest.raises(ValueError, match="the matrix has 6 rows, but needs a multiple of outputs, 4"):
        pack_matrix(np.zeros((6, 3), np.int8), geometry)
    for shape in ((5,), (0, 5), (5, 0), (2, 2, 2)):
        with pytest.raises(ValueError, match="must be a matrix with at least one element"):
            pack_matrix(np.zeros(shape, np.int8), geometry)


def test_refused_words():
    geometry = BeatGeometry(word_bytes=8, outputs=4, block_outputs=8)
    words, _ = pack_matrix(np.zeros((12, 11), np.int8), geometry)
    with pytest.raises(ValueError, match=r"uint8 of shape \(3, 8\), but 12 x 11 codes take uint8 of shape \(6, 8\)"):
        unpack_matrix(words[:3], 12, 11, geometry)
    with pytest.raises(ValueError, match=r"words are int64 of shape \(6, 8\)"):
        unpack_matrix(words.astype(np.int64), 12, 11, geometry)
    with pytest.raises(ValueError, match="the matrix has 0 rows and 11 columns, but needs at least 1"):
        unpack_matrix(words, 0, 11, geometry)
    with pytest.raises(ValueError, match="the matrix has 10 rows, but needs a multiple of outputs, 4"):
        unpack_matrix(words, 10, 11, geometry)
    illegal = words.copy()
    illegal[2, 3] = 250
    with pytest.raises(ValueError, match=r"words hold 250 at index \(2, 3\), but five trits make at most 242"):
        unpack_matrix(illegal, 12, 11, geometry)
    # Cells 0 to 3 are the first block's, two to a tile, 4 and 5 the second's; four empty ones follow. Columns 9 to 11 of the
    # second tile are lane 1 of cells 2, 3 and 5, so that column 11 is the last trit of such a cell: of 2, the ninth of the lane.
    for place, byte in (((1, 1), ZERO_BYTE + 27), ((4, 0), ZERO_BYTE + 1), ((5, 7), ZERO_BYTE - 81)):
        dirty = words.copy()
        dirty[place] = byte
        with pytest.raises(ValueError, match="padding trit that is not zero outside 12 x 11 codes"):
            unpack_matrix(dirty, 12, 11, geometry)
