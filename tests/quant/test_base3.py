"""Five trits a byte: the defining sum, round trips and refusals."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from terntable.quant.base3 import LEGAL_BYTES, ZERO_BYTE, pack_bytes, unpack_bytes


def test_every_byte_is_the_defining_sum():
    trits = np.array(list(itertools.product((-1, 0, 1), repeat=5)), np.int8)
    expected = [sum((int(w) + 1) * 3**j for j, w in enumerate(row)) for row in trits]
    packed = pack_bytes(trits)
    assert packed.dtype == np.uint8 and packed.shape == (243, 1)
    assert packed[:, 0].tolist() == expected
    assert sorted(expected) == list(range(LEGAL_BYTES))
    np.testing.assert_array_equal(unpack_bytes(packed), trits)
    assert pack_bytes(np.zeros(5, np.int8)).tolist() == [ZERO_BYTE] == [121]


_SHAPES = st.lists(st.integers(0, 4), min_size=1, max_size=3)


@settings(max_examples=50, deadline=None)
@given(st.data(), _SHAPES)
def test_round_trip(data, shape):
    trits = data.draw(hnp.arrays(np.int8, (*shape[:-1], 5 * shape[-1]), elements=st.integers(-1, 1)))
    packed = pack_bytes(trits)
    assert packed.shape == tuple(shape)
    unpacked = unpack_bytes(packed)
    assert unpacked.dtype == np.int8
    np.testing.assert_array_equal(unpacked, trits)


def test_wider_and_strided_integers():
    trits = np.random.default_rng(0).integers(-1, 2, (10, 6))
    np.testing.assert_array_equal(unpack_bytes(pack_bytes(trits.T)), trits.T)


@pytest.mark.parametrize(("trits", "sentence"), [
    (np.array([0, 0, 0, 2, 3], np.int8), r"trits holds 2 at index \(3,\), but a trit is -1, 0 or 1"),
    (np.array([[0] * 5, [0, -7, 0, 0, 0]], np.int8), r"trits holds -7 at index \(1, 1\)"),
    (np.zeros((2, 6), np.int8), r"trits have shape \(2, 6\), but the last axis must be a multiple of 5"),
    (np.int8(0), r"trits have shape \(\)"),
    (np.zeros(5), "trits is of type float64, but must be of an integer type"),
])
def test_refused_trits(trits, sentence):
    with pytest.raises(ValueError, match=sentence):
        pack_bytes(trits)


@pytest.mark.parametrize("byte", [243, 255])
def test_illegal_bytes(byte):
    packed = np.array([[0, 242], [byte, 255]], np.uint8)
    with pytest.raises(ValueError, match=rf"packed bytes hold {byte} at index \(1, 0\), .* at most 242"):
        unpack_bytes(packed)


def test_other_types_are_no_bytes():
    with pytest.raises(ValueError, match="packed bytes are int8 .* but must be a uint8 array"):
        unpack_bytes(np.zeros(3, np.int8))
