"""terntable.hw.trit_gear against its twin, and the twin against packed weights."""

import numpy as np
import pytest

from terntable.hw.spec.lookup import CODES, ENTRIES, WALK
from terntable.hw.trit_gear import TAKING, TritGear
from terntable.models.golden import trit_gear as twin
from terntable.quant.base3 import LEGAL_BYTES, ZERO_BYTE
from terntable.quant.beats import BeatGeometry, pack_matrix

SETS = {"one": {"word_bytes": 1}, "odd": {"word_bytes": 5}, "wide": {"word_bytes": 16}}


def vectors(word_bytes: int, seed: int) -> np.ndarray:
    """Legal words of 150 frames: the extremes, then every byte in each place of a frame, then random ones."""
    words = np.random.default_rng(seed).integers(0, LEGAL_BYTES, (450, word_bytes))
    words[:9] = np.repeat([0, LEGAL_BYTES - 1, ZERO_BYTE], 3)[:, None]
    words[9:252] = (np.arange(LEGAL_BYTES)[:, None] + 41 * np.arange(word_bytes)) % LEGAL_BYTES
    return words.astype(np.uint8)


def test_matches_twin(simulate):
    simulate({name: TritGear(**sizes) for name, sizes in SETS.items()}, "tests.hw.trit_gear_bench")


def test_latency_is_the_twins():
    assert TritGear.LATENCY == twin.LATENCY


def test_codes_stand_for_all_trits():
    """Each of the 27 numbers has an entry with its trits or the opposite ones; entries differ by one trit from those before."""
    assert len(set(WALK)) == ENTRIES == 14
    for number, (address, negate) in enumerate(CODES):
        trits = [number // 3**place % 3 - 1 for place in range(3)]
        assert list(WALK[address]) == [-w if negate else w for w in trits]
    for before, after in zip(WALK, WALK[1:], strict=False):
        assert sum(abs(a - b) for a, b in zip(before, after, strict=True)) == 1


def test_twin_by_packed_weights():
    """Cells of one output and one tile a row: the lookups stand for the weights themselves."""
    geometry = BeatGeometry(word_bytes=4, outputs=1, block_outputs=3)
    codes = np.random.default_rng(2).integers(-1, 2, (13, 12)).astype(np.int8)
    address, negate = twin.lookups(pack_matrix(codes, geometry)[0])
    assert address.shape == negate.shape == (15, 4) and address.dtype == np.uint8 and negate.dtype == bool
    signed = np.array(WALK)[address] * np.where(negate, -1, 1)[..., None]
    assert (signed[:13].reshape(13, 12) == codes).all()
    assert (signed[13:] == 0).all()
    assert TAKING == (0, 1, 3), "a frame takes its three words with these cells"


def test_twin_refuses():
    with pytest.raises(ValueError, match=r"words have shape \(4, 2\), but must be a matrix of a multiple of 3 words"):
        twin.lookups(np.zeros((4, 2), np.uint8))
    with pytest.raises(ValueError, match="word 2 has an illegal byte"):
        twin.lookups(np.array([[0], [242], [243]], np.uint8))


def test_word_bytes_checked():
    with pytest.raises(ValueError, match="word_bytes must be a positive integer, not 0"):
        TritGear(word_bytes=0)
