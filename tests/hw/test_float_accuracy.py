"""How far the table functions are from the exact ones, and that they never turn back."""

import numpy as np
import pytest

from terntable.hw.spec.float_tables import exp2_parabolas, reciprocal_parabolas
from terntable.models.golden import float32
from terntable.models.golden.exp2 import exp2_negative
from terntable.models.golden.float_parabola import float_parabola

#: Every 5th significand of a binade: reaches every segment of every table.
SIGNIFICANDS = float32.from_bits(0x3F800000 + np.arange(0, 1 << 23, 5))


def ulps(got, exact):
    """Errors in units in the last place of the exact value (float64)."""
    return np.abs(got.astype(np.float64) - exact) / 2.0 ** (np.floor(np.log2(np.abs(exact))) - 23)


def test_exp2():
    x = np.arange(1 << 21)
    y = exp2_negative(x)
    assert y[0] == 65536
    assert (np.diff(y) <= 0).all()
    assert np.abs(y - 65536 * 2.0 ** (-x / 65536)).max() <= 0.6


@pytest.mark.parametrize("x", [-1, 1 << 21])
def test_exp2_out_of_range(x):
    with pytest.raises(ValueError, match=rf"x must be 0\.\.2097151, not {x}\.\.{x}"):
        exp2_negative(x)


def test_reciprocal():
    y = float32.reciprocal(SIGNIFICANDS)
    assert ulps(y, 1 / SIGNIFICANDS.astype(np.float64)).max() <= 0.65
    assert (np.diff(y) <= 0).all()
    powers = 2.0 ** np.arange(-126, 127)
    assert (float32.reciprocal(powers.astype(np.float32)) == 1 / powers).all()
    assert float32.reciprocal(np.float32(-4)) == -0.25


@pytest.mark.parametrize(("low", "high"), [(-87.3, 88.7), (-1, 1), (-1e-3, 1e-3)])
def test_exp(low, high):
    x = np.sort(np.random.default_rng(7).uniform(low, high, 500_000).astype(np.float32))
    y = float32.exp(x)
    assert ulps(y, np.exp(x.astype(np.float64))).max() <= 0.8
    assert (np.diff(y) >= 0).all()


def test_exp_ends():
    x = np.array([-np.inf, -1e30, -88, -0.0, 0, 1e-40, 88.8, 1e30, np.inf, np.nan], dtype=np.float32)
    one = 0x3F800000
    invalid = float32.INVALID
    assert float32.to_bits(float32.exp(x)).tolist() == [invalid, 0, 0, one, one, one, *[invalid] * 4]


@pytest.mark.parametrize(("low", "high"), [(-87.3, 88), (-17, 17), (-1, 1)])
def test_sigmoid(low, high):
    x = np.sort(np.random.default_rng(8).uniform(low, high, 500_000).astype(np.float32))
    y = float32.sigmoid(x)
    assert ulps(y, 1 / (1 + np.exp(-x.astype(np.float64)))).max() <= 2.75
    assert (np.diff(y) >= 0).all()


def test_sigmoid_ends():
    x = np.array([-np.inf, -3e38, -88, 0, 88, 3e38, np.inf, np.nan], dtype=np.float32)
    invalid = float32.INVALID
    assert float32.to_bits(float32.sigmoid(x)).tolist() == [
        invalid, 0, 0, 0x3F000000, 0x3F800000, 0x3F800000, invalid, invalid]


@pytest.mark.parametrize(("table", "rising"), [(exp2_parabolas(), True), (reciprocal_parabolas(), False)])
def test_parabolas_join_and_stay_in_their_binade(table, rising):
    place = 1 << table.place_bits
    corners = (np.arange(256)[:, None] * place + [0, 1, place // 2, place - 2, place - 1]).ravel()
    y = float_parabola(table, corners)
    assert (np.diff(y) >= 0).all() if rising else (np.diff(y) <= 0).all()
    assert y.min() >= 1 << 28 and y.max() <= 2 << 28
    assert y[0] == (1 << 28 if rising else 2 << 28)
