"""terntable.hw.base3 against its twin, and the twin against plain integers."""

import numpy as np
import pytest

from terntable.hw.base3 import Base3Split
from terntable.models.golden.base3 import split_bytes
from terntable.quant.base3 import LEGAL_BYTES, unpack_bytes

SETS = {"one": {"word_bytes": 1}, "odd": {"word_bytes": 5}, "wide": {"word_bytes": 16}}


def vectors(word_bytes: int, seed: int) -> np.ndarray:
    """Every byte value in every place, then legal words with at most one illegal byte."""
    rng = np.random.default_rng(seed)
    every = (np.arange(256)[:, None] + 37 * np.arange(word_bytes)) % 256
    legal = rng.integers(0, LEGAL_BYTES, (60, word_bytes))
    for n in range(0, 60, 3):
        legal[n, rng.integers(word_bytes)] = LEGAL_BYTES + n % 13
    return np.concatenate([every, legal]).astype(np.uint8)


def test_matches_twin(simulate):
    simulate({name: Base3Split(**sizes) for name, sizes in SETS.items()}, "tests.hw.base3_bench")


def test_twin_by_plain_integers():
    first, second, rest, illegal = split_bytes(np.arange(256, dtype=np.uint8)[:, None])
    for byte in range(256):
        assert (first[byte, 0], second[byte, 0]) == (byte % 3, byte // 3 % 3)
        assert (rest[byte, 0], illegal[byte]) == (byte // 9, byte >= 243)
    assert split_bytes(np.array([242, 243], np.uint8))[3]


def test_parts_hold_the_trits():
    trits = unpack_bytes(np.arange(LEGAL_BYTES, dtype=np.uint8)).reshape(-1, 5) + 1
    first, second, rest, _ = split_bytes(np.arange(LEGAL_BYTES, dtype=np.uint8))
    assert (first == trits[:, 0]).all() and (second == trits[:, 1]).all()
    assert (rest == trits[:, 2:] @ [1, 3, 9]).all()


@pytest.mark.parametrize("word_bytes", [0, -1, 8.0])
def test_word_bytes_checked(word_bytes):
    with pytest.raises(ValueError, match=f"word_bytes must be a positive integer, not {word_bytes}"):
        Base3Split(word_bytes=word_bytes)
