"""Ternary codes against transformers' own quantiser, and the sentences of refusals."""

import numpy as np
import pytest
import torch
from transformers.integrations.bitnet import WeightQuant

from terntable.quant.ternary import absmean_ternary, check_ternary


@pytest.fixture(autouse=True)
def eager():
    """Run transformers' compiled functions uncompiled: the same arithmetic, without a compiler run."""
    with torch.compiler.set_stance("force_eager"):
        yield


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (32, 64), (65, 129), (256, 384)])
@pytest.mark.parametrize("spread", [1e-7, 0.02, 3.0])
def test_codes_are_those_of_transformers(shape, spread):
    for seed in range(5):
        weight = (np.random.default_rng(seed).standard_normal(shape) * spread).astype(np.float32)
        expected = WeightQuant.apply(torch.from_numpy(weight)).numpy()
        codes, scale = absmean_ternary(weight)
        assert codes.dtype == np.int8 and scale.dtype == np.float32
        np.testing.assert_array_equal(codes, np.sign(expected))
        np.testing.assert_allclose(codes * scale, expected, rtol=1e-6)


def test_halves_round_to_even():
    # The mean is exactly 2, so the products are exactly 0.5, 1.5 and 2.
    weight = np.array([[1, -1, 3, -3, 0, 4]], np.float32)
    codes, scale = absmean_ternary(weight)
    assert scale == 2
    np.testing.assert_array_equal(codes, [[0, 0, 1, -1, 0, 1]])


def test_the_reciprocal_is_multiplied():
    # A weight just above half of the mean: the quotient lies above 0.5 and rounds to 1, the product with the
    # rounded reciprocal may be 0.5 exactly and rounds to 0. Only such weights are looked at.
    told_apart = 0
    for numerator in range(3, 400, 2):
        mean = np.float32(numerator / 128)
        small = np.nextafter(mean / np.float32(2), np.float32(np.inf))
        if np.rint(small * (np.float32(1) / mean)) == np.rint(small / mean):
            continue
        told_apart += 1
        # The four magnitudes add up to four times the mean, but for a part that rounds away.
        weight = np.array([[small, mean, mean, mean * 1.5]], np.float32)
        codes, scale = absmean_ternary(weight)
        assert scale == mean
        np.testing.assert_array_equal(codes, np.sign(WeightQuant.apply(torch.from_numpy(weight)).numpy()))
        assert codes.tolist() == [[0, 1, 1, 1]]
    assert told_apart > 5


def test_zeros_take_the_floor():
    codes, scale = absmean_ternary(np.zeros((4, 4), np.float32))
    assert not codes.any() and scale == np.float32(1e-5)


def test_half_precision_is_read_as_float32():
    weight = np.random.default_rng(1).standard_normal((8, 8)).astype(np.float16)
    codes, scale = absmean_ternary(weight)
    wide_codes, wide_scale = absmean_ternary(weight.astype(np.float32))
    np.testing.assert_array_equal(codes, wide_codes)
    assert scale == wide_scale


@pytest.mark.parametrize(("weight", "sentence"), [
    (np.zeros(4, np.float32), r"weight has shape \(4,\), but must be a matrix"),
    (np.zeros((0, 4), np.float32), r"weight has shape \(0, 4\), but must be a matrix with at least one"),
    (np.zeros((2, 2), np.int8), "weight is of type int8, but must be of a float type"),
    (np.array([[1, 2], [np.nan, 0]], np.float32), r"weight holds nan at index \(1, 0\), but must be finite"),
    (np.array([[1, -np.inf]], np.float32), r"weight holds -inf at index \(0, 1\)"),
])
def test_refused_weights(weight, sentence):
    with pytest.raises(ValueError, match=sentence):
        absmean_ternary(weight)


def test_check_ternary():
    check_ternary(np.array([[-1, 0, 1]], np.int8), "codes")
    check_ternary(np.empty((0, 3), np.int8), "codes")
    with pytest.raises(ValueError, match=r"q_proj holds 2 at index \(1, 0\), but a trit is -1, 0 or 1"):
        check_ternary(np.array([[0, 1], [2, -2]], np.int8), "q_proj")
    with pytest.raises(ValueError, match=r"w holds -2 at index \(1,\)"):
        check_ternary(np.array([0, -2]), "w")
    with pytest.raises(ValueError, match="w is of type float32, but must be of an integer type"):
        check_ternary(np.zeros(3, np.float32), "w")
