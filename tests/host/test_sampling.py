"""The law of a token, enumerated, and draws from it."""

import numpy as np
import pytest

from terntable.host.errors import InputError
from terntable.host.sampling import GREEDY, Sampling, draw, token_law

LOGITS = np.log(np.array([1, 4, 2, 4, 1, 8], np.float64) / 20).astype(np.float32)


@pytest.mark.parametrize(("sampling", "weights"), [
    (Sampling(temperature=1), [1, 4, 2, 4, 1, 8]),
    (Sampling(temperature=0.5), [1, 16, 4, 16, 1, 64]),
    (Sampling(temperature=1, top_k=2), [0, 4, 0, 0, 0, 8]),
    (Sampling(temperature=1, top_k=3), [0, 4, 0, 4, 0, 8]),
    (Sampling(temperature=1, top_k=100), [1, 4, 2, 4, 1, 8]),
    (Sampling(temperature=1, top_p=0.3), [0, 0, 0, 0, 0, 1]),
    (Sampling(temperature=1, top_p=0.5), [0, 4, 0, 0, 0, 8]),
    (Sampling(temperature=1, top_p=0.75), [0, 4, 0, 4, 0, 8]),
    (Sampling(temperature=1, top_k=3, top_p=0.7), [0, 4, 0, 0, 0, 8]),
    (Sampling(temperature=1, top_k=1), [0, 0, 0, 0, 0, 1]),
    (GREEDY, [0, 0, 0, 0, 0, 1]),
    (Sampling(temperature=1e-300), [0, 0, 0, 0, 0, 1]),
])
def test_laws(sampling, weights):
    np.testing.assert_allclose(token_law(LOGITS, sampling), np.array(weights) / sum(weights), atol=1e-6)


def test_greedy_takes_the_lowest_of_equals():
    assert token_law(np.float32([1, 3, 3]), GREEDY).tolist() == [0, 1, 0]


def test_draws_follow_the_law():
    law = token_law(LOGITS, Sampling(temperature=1, top_k=4))
    count = np.bincount([draw(law, seed=5, position=n) for n in range(4000)], minlength=6)
    assert count[[0, 4]].sum() == 0
    # Five standard deviations of a binomial count.
    assert (np.abs(count - 4000 * law) < 5 * np.sqrt(4000 * law * (1 - law)) + 1e-9).all()


def test_a_draw_depends_on_seed_and_position_alone():
    law = np.full(1000, 1e-3)
    first = [draw(law, seed=7, position=n) for n in range(20)]
    assert [draw(law, seed=7, position=n) for n in reversed(range(20))] == first[::-1]
    assert [draw(law, seed=8, position=n) for n in range(20)] != first
    assert len(set(first)) > 15
    assert first[:4] == [872, 873, 652, 439], "the same in every process and release"


@pytest.mark.parametrize(("values", "sentence"), [
    ({"temperature": -1.0}, "temperature must be a finite number of at least 0, not -1.0"),
    ({"temperature": float("nan")}, "not nan"), ({"temperature": float("inf")}, "not inf"),
    ({"top_k": -1}, "top-k must be at least 0, not -1"),
    ({"top_p": 0.0}, "top-p must be above 0 and at most 1, not 0.0"),
    ({"top_p": 1.5}, "not 1.5"), ({"seed": -1}, "seed must be 0 to 18446744073709551615, not -1"),
])
def test_impossible_values_are_refused(values, sentence):
    with pytest.raises(InputError, match=sentence):
        Sampling(**values)
