"""terntable.hw.topk against its twin, and the twin against Python's sort."""

import numpy as np
import pytest

from terntable.hw.spec.program import RESULT
from terntable.hw.topk import TopK
from terntable.models.golden.float_bits import from_bits, to_bits
from terntable.models.golden.topk import UNUSED, topk

SETS = {"least": {"rows": 1, "k": 1, "index_bits": 32}, "odd": {"rows": 3, "k": 5, "index_bits": 9},
        "wide": {"rows": 8, "k": 8, "index_bits": 32}, "long": {"rows": 2, "k": 64, "index_bits": 17}}

#: Patterns around every turn of the order: both zeros, both ends, neighbours.
CORNERS = np.array([0x80000000, 0, 0xFF7FFFFF, 0x7F7FFFFF, 0x00800000, 0x80800000, 0x7FC00000, 0x3F800000,
                    0x3F800001, 0xBF800000, 0xBF800001, 0x3F800000, 0, 0x80000000], np.uint32)


def vectors(rows: int, count: int, seed: int) -> np.ndarray:
    """Logits, float32 (rows, count): corners first, then values of which many are equal."""
    rng = np.random.default_rng(seed)
    logits = rng.integers(-40, 40, (rows, count)).astype(np.float32) * np.float32(0.37)
    for row in range(rows):
        logits[row, :len(CORNERS)] = from_bits(np.roll(CORNERS, row))[:count]
    return logits


def naive(logits: np.ndarray, k: int) -> list[list[tuple[int, float]]]:
    """The same by Python's sort of pairs, for numbers that compare as usual."""
    return [sorted(((v, float(x) + 0.0) for v, x in enumerate(row)), key=lambda pair: (-pair[1], pair[0]))[:k]
            for row in logits]


@pytest.mark.parametrize("rows,count,k", [(1, 1, 1), (2, 100, 5), (3, 7, 7), (4, 500, 16)])
def test_twin_against_sort(rows, count, k):
    for seed in range(5):
        logits = np.where(np.isnan(x := vectors(rows, count, seed)), np.float32(1), x)
        assert [[(int(i), float(x)) for i, x in row] for row in topk(logits, k)] == naive(logits, k)


def test_twin_short_list():
    best = topk(np.array([[-1, 2]], np.float32), 4)
    assert best.dtype == RESULT and best["index"].tolist() == [[1, 0, UNUSED, UNUSED]]
    assert best["logit"].tolist() == [[2, -1, 0, 0]]


def test_twin_zeros_and_invalid():
    logits = from_bits(np.array([[0x80000000, 0, 0x7FC00000, 0x7F7FFFFF]], np.uint32))
    best = topk(logits, 4)
    assert best["index"].tolist() == [[2, 3, 0, 1]]
    assert to_bits(best["logit"]).tolist() == [[0x7FC00000, 0x7F7FFFFF, 0, 0]]


@pytest.mark.parametrize("logits,k,message", [
    (np.zeros((1, 2)), 1, "not float64 of shape"), (np.zeros(2, np.float32), 1, r"shape \(2,\)"),
    (np.zeros((1, 2), np.float32), 0, "at least 1, not 0")])
def test_twin_checks(logits, k, message):
    with pytest.raises(ValueError, match=message):
        topk(logits, k)


@pytest.mark.parametrize("sizes,message", [
    ({"rows": 0, "k": 1}, "rows must be 1..64, not 0"), ({"rows": 1, "k": 0}, "k must be 1..64, not 0"),
    ({"rows": 1, "k": 1, "index_bits": 33}, "index_bits must be 1..32, not 33")])
def test_parameters_checked(sizes, message):
    with pytest.raises(ValueError, match=message):
        TopK(**sizes)


def test_matches_twin(simulate):
    simulate({name: TopK(**sizes) for name, sizes in SETS.items()}, "tests.hw.topk_bench")
