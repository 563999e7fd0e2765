"""terntable.hw.base3 against its twin, and the twin against plain integers."""

import numpy as np
import pytest

from terntable.hw.base3 import Base3Decode
from terntable.models.golden.base3 import split_bytes
from terntable.quant.base3 import LEGAL_BYTES, unpack_bytes

SETS = {"one": {"beat_bytes": 1}, "odd": {"beat_bytes": 5}, "wide": {"beat_bytes": 16}}


def vectors(beat_bytes: int, seed: int) -> np.ndarray:
    """Every byte value in every place, then legal beats with at most one illegal byte."""
    rng = np.random.default_rng(seed)
    every = (np.arange(256)[:, None] + 37 * np.arange(beat_bytes)) % 256
    legal = rng.integers(0, LEGAL_BYTES, (60, beat_bytes))
    for n in range(0, 60, 3):
        legal[n, rng.integers(beat_bytes)] = LEGAL_BYTES + n % 13
    return np.concatenate([every, legal]).astype(np.uint8)


def test_matches_twin(simulate):
    simulate({name: Base3Decode(**sizes) for name, sizes in SETS.items()}, "tests.hw.base3_bench")


def test_twin_by_plain_integers():
    low, high, illegal = split_bytes(np.arange(256, dtype=np.uint8)[:, None])
    for byte in range(256):
        assert (low[byte, 0], high[byte, 0], illegal[byte]) == (byte % 27, byte // 27, byte >= 243)
    assert split_bytes(np.array([242, 243], np.uint8))[2]


def test_addresses_hold_the_trits():
    trits = unpack_bytes(np.arange(LEGAL_BYTES, dtype=np.uint8)).reshape(-1, 5) + 1
    low, high, _ = split_bytes(np.arange(LEGAL_BYTES, dtype=np.uint8))
    assert (low == trits[:, :3] @ [1, 3, 9]).all()
    assert (high == trits[:, 3:] @ [1, 3]).all()


@pytest.mark.parametrize("beat_bytes", [0, -1, 8.0])
def test_beat_bytes_checked(beat_bytes):
    with pytest.raises(ValueError, match=f"beat_bytes must be a positive integer, not {beat_bytes}"):
        Base3Decode(beat_bytes=beat_bytes)
