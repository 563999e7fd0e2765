"""INT8 rows: transformers' activation quantiser, a bound on the weight rows' error, and refusals."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from transformers.integrations.bitnet import BitLinear

from terntable.quant.int8 import absmax_int8, rows_int8

FLOATS = st.floats(-(2.0**60), 2.0**60, width=32)
ROWS = hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=3, max_side=9), elements=FLOATS)


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_activations_are_those_of_transformers(x):
    with torch.compiler.set_stance("force_eager"):
        torch_quantised, torch_scale = BitLinear(4, 4, False).activation_quant(torch.from_numpy(x))
    expected, expected_scale = torch_quantised.numpy(), torch_scale.numpy()[..., 0]
    quantised, scale = absmax_int8(x)
    assert quantised.dtype == np.int8 and scale.dtype == np.float32
    assert scale.shape == x.shape[:-1]
    # torch computes 127 / x as 127 * (1 / x), two roundings in place of one.
    np.testing.assert_array_max_ulp(scale, expected_scale, maxulp=1)
    same = scale == expected_scale
    np.testing.assert_array_equal(quantised[same], expected[same])
    assert (np.abs(quantised.astype(int) - expected) <= 1).all()


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_activation_scale_is_the_rounded_quotient(x):
    quantised, scale = absmax_int8(x)
    # A quotient of float32 numbers may pass through float64 without a second rounding that shows.
    floor = np.float64(np.float32(1e-5))
    exact = 127 / np.maximum(np.abs(x).max(axis=-1).astype(np.float64), floor)
    np.testing.assert_array_equal(scale, exact.astype(np.float32))
    product = (x.astype(np.float64) * scale[..., None]).astype(np.float32)
    np.testing.assert_array_equal(quantised, np.rint(product))


def test_activation_corners():
    quantised, scale = absmax_int8(np.zeros((2, 4), np.float32))
    assert not quantised.any()
    np.testing.assert_array_equal(scale, np.float32(127) / np.float32(1e-5))
    # The scale is exactly 1, so the halves show the rounding.
    quantised, scale = absmax_int8(np.array([127, 0.5, 1.5, -0.5, -2.5, -127], np.float32))
    assert scale == 1 and scale.shape == ()
    assert quantised.tolist() == [127, 0, 2, 0, -2, -127]


@settings(max_examples=100, deadline=None)
@given(hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=FLOATS))
def test_weight_rows_come_back_within_half_a_step(weight):
    quantised, scale = rows_int8(weight)
    assert quantised.dtype == np.int8 and scale.dtype == np.float32
    assert scale.shape == weight.shape[:1] and (scale > 0).all() and np.isfinite(scale).all()
    assert quantised.min() >= -127
    step = scale.astype(np.float64)[:, None]
    assert (np.abs(weight - quantised * step) <= 0.5001 * step).all()
    normal = np.abs(weight).max(axis=1) > 1e-30
    assert (np.abs(quantised[normal].astype(int)).max(axis=1, initial=0) == 127).all()


def test_weight_corners():
    weight = np.array([[254, 1, 3, -254], [0, 0, 0, 0], [1e-45, 0, 0, 0]], np.float32)
    quantised, scale = rows_int8(weight)
    assert quantised[0].tolist() == [127, 0, 2, -127]
    assert scale[0] == 2 and scale[1] == np.float32(1e-5) / np.float32(127)
    assert not quantised[1:].any()


@pytest.mark.parametrize("function", [absmax_int8, rows_int8])
def test_refusals(function):
    with pytest.raises(ValueError, match=r"holds nan at index \(1, 0\), but must be finite"):
        function(np.array([[1, 2], [np.nan, 3]], np.float32))
    with pytest.raises(ValueError, match=r"holds -inf at index \(0, 1\)"):
        function(np.array([[1, -np.inf]], np.float32))
    with pytest.raises(ValueError, match=r"has shape \(3, 0\), but a row needs at least one element"):
        function(np.zeros((3, 0), np.float32))
    with pytest.raises(ValueError, match="is of type int32, but must be of a float type"):
        function(np.zeros((3, 2), np.int32))


def test_weight_must_be_a_matrix():
    with pytest.raises(ValueError, match=r"weight has shape \(4,\), but must be a matrix"):
        rows_int8(np.ones(4, np.float32))
