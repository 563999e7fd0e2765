"""terntable.models.golden.pytest_plugin: the fixture, and messages that name the first differing beat."""

import numpy as np
import pytest


def test_equal_bits_pass(golden):
    values = np.arange(12, dtype=np.float32).reshape(6, 2)
    golden.assert_beats(values, values.copy(), beat=2)


def test_first_differing_beat_is_named(golden):
    want = np.zeros((8, 3), np.int32)
    got = want.copy()
    got[5, 1], got[7, 0] = 9, 1
    with pytest.raises(pytest.fail.Exception, match=r"sums: beat 2 differs first, at index \[5, 1\].*2 of 24 items"):
        golden.assert_beats(got, want, beat=2, name="sums")


def test_signed_zero_is_a_difference(golden):
    with pytest.raises(pytest.fail.Exception, match="beat 0"):
        golden.assert_beats(np.array([-0.0], np.float32), np.array([0.0], np.float32))


@pytest.mark.parametrize(("got", "want", "sentence"), [
    (np.zeros(3), np.zeros(4), "shape"), (np.zeros(3, np.float64), np.zeros(3, np.float32), "type"),
])
def test_other_shape_or_type_is_named(golden, got, want, sentence):
    with pytest.raises(pytest.fail.Exception, match=sentence):
        golden.assert_beats(got, want)


def test_twins_and_machine(golden):
    codes = np.array([[1, -1, 0]], np.int8)
    assert golden.twin("tlmm").ternary_matmul(np.array([[5, 3, 7]], np.int8), codes).tolist() == [[2]]
    assert golden.machine("nano", 4096).memory.shape == (4096,)
    with pytest.raises(ValueError, match="'nothing'"):
        golden.twin("nothing")
