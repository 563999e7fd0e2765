"""The miss rates of the two-stage head, where they are known."""

import json

import numpy as np
import pytest

from terntable.models import shortlist_misses
from terntable.models.shortlist_misses import misses


def test_ternary_rows_miss_nothing():
    """Rows that are ternary but for their scale: the shortlist orders as the exact head does, down to the rounding of inputs."""
    rng = np.random.default_rng(1)
    weight = (rng.integers(-1, 2, (300, 64)) * 0.5).astype(np.float32)
    inputs = rng.integers(-127, 128, (200, 64)).astype(np.float32)
    inputs[:, 0] = 127
    found = misses(weight, inputs, (64, 128))
    assert found[64][0] == 0 and found[128] == (0, 0)


def test_a_list_of_everything_misses_nothing_and_a_short_one_does():
    rng = np.random.default_rng(2)
    weight, inputs = rng.normal(size=(128, 24)).astype(np.float32), rng.normal(size=(300, 24)).astype(np.float32)
    found = misses(weight, inputs)
    assert found[128] == (0, 0)
    assert 0.02 < found[8][0] < 0.6 and found[8][1] > 0.9
    assert all(found[a][n] >= found[b][n] for a, b in ((8, 16), (16, 32), (32, 64)) for n in (0, 1))


def test_rates_are_counted_position_by_position(monkeypatch):
    rng = np.random.default_rng(3)
    weight, inputs = rng.normal(size=(128, 24)).astype(np.float32), rng.normal(size=(50, 24)).astype(np.float32)
    whole = misses(weight, inputs)
    monkeypatch.setattr(shortlist_misses, "CHUNK", 7)
    assert misses(weight, inputs) == whole
    single = [misses(weight, inputs[n:n + 1]) for n in range(50)]
    assert whole[16] == tuple(pytest.approx(np.mean([one[16][n] for one in single])) for n in (0, 1))


def test_the_shipped_model(capsys, tmp_path):
    """A few tokens: the best is found, and windows and tokens are those asked for."""
    text = tmp_path / "text"
    text.write_text("In the beginning God created the heaven and the earth.\n" * 4)
    assert shortlist_misses.main(["--text", str(text), "--tokens", "30", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["vocab"], result["hidden"], result["tokens"]) == (2048, 256, 30)
    assert result["misses"]["64"]["first"] == 0
    monotone = [result["misses"][str(size)]["best_8"] for size in shortlist_misses.SIZES]
    assert monotone == sorted(monotone, reverse=True)
