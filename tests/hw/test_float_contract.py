"""The float32 twins against exact rational arithmetic at corners and against NumPy elsewhere."""

import math
import operator
from fractions import Fraction

import numpy as np
import pytest

from terntable.models.golden import float32
from terntable.models.golden.float32 import INVALID
from tests.hw.float_operands import CORNERS, corner_pairs, random_pairs

LEAST = Fraction(1, 1 << 126)
EXACT = {"add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv}


def value(pattern):
    """The exact value, subnormals as zero; None where the exponent is 255."""
    exponent, fraction = pattern >> 23 & 0xFF, pattern & 0x7FFFFF
    if exponent == 255:
        return None
    magnitude = Fraction(fraction | 0x800000) * Fraction(2) ** (exponent - 150) if exponent else Fraction(0)
    return -magnitude if pattern >> 31 else magnitude


def rounded(exact, sign_of_zero):
    """The pattern of an exact value under the contract."""
    sign = int(exact < 0) if exact else sign_of_zero
    magnitude = abs(exact)
    if magnitude < LEAST:
        return sign << 31
    exponent = math.floor(math.log2(magnitude.numerator) - math.log2(magnitude.denominator))
    exponent += (magnitude >= Fraction(2) ** (exponent + 1)) - (magnitude < Fraction(2) ** exponent)
    significand = round(magnitude / Fraction(2) ** (exponent - 23))    # halves to even
    if significand == 1 << 24:
        significand, exponent = 1 << 23, exponent + 1
    if exponent > 127:
        return INVALID
    return sign << 31 | (exponent + 127) << 23 | (significand & 0x7FFFFF)


def reference(name, a, b):
    x, y = value(a), value(b)
    if x is None or y is None or (name == "div" and y == 0):
        return INVALID
    if name in ("mul", "div"):
        zero = (a ^ b) >> 31
    else:
        zero = a >> 31 & (b >> 31 ^ (name == "sub")) if x == 0 and y == 0 else 0
    return rounded(EXACT[name](x, y), zero)


@pytest.mark.parametrize("name", EXACT)
def test_two_operands_are_exact(name):
    pairs = [np.concatenate(side) for side in zip(corner_pairs(), random_pairs(5_000, 3), strict=True)]
    got = float32.to_bits(getattr(float32, name)(*map(float32.from_bits, pairs)))
    for a, b, y in zip(*(side.tolist() for side in (*pairs, got)), strict=True):
        exact = reference(name, a, b)
        assert y == exact, f"{name}({a:#x}, {b:#x}) = {y:#x}, exact {exact:#x}"


@pytest.mark.parametrize("name", EXACT)
def test_two_operands_are_numpys_where_nothing_is_subnormal(name):
    a, b = map(float32.from_bits, random_pairs(200_000, 4))
    with np.errstate(all="ignore"):
        native = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide}[name](a, b)
    # A native result of just 2**-126 may have been rounded up to it.
    plain = np.logical_and.reduce([(x == 0) | (np.abs(x) >= np.float32(2.0**-126)) for x in (a, b)])
    plain &= np.isfinite(native) & (np.abs(native) > np.float32(2.0**-126))
    assert plain.sum() > 50_000
    assert (float32.to_bits(getattr(float32, name)(a, b))[plain] == float32.to_bits(native)[plain]).all()


def test_flush_decides_before_rounding():
    least, below_one = float32.from_bits(0x00800000), float32.from_bits(0x3F7FFFFF)
    assert float32.to_bits(float32.mul(least, below_one)) == 0
    assert float32.to_bits(float32.mul(-least, below_one)) == 0x80000000


@pytest.mark.parametrize(("a", "b", "y"), [(0.0, -0.0, 0.0), (-0.0, -0.0, -0.0), (1.5, -1.5, 0.0)])
def test_signs_of_zero_sums(a, b, y):
    assert float32.to_bits(float32.add(np.float32(a), np.float32(b))) == float32.to_bits(np.float32(y))


def test_sqrt_is_exact():
    patterns = [*CORNERS.values(), *random_pairs(5_000, 5)[0].tolist()]
    got = float32.to_bits(float32.sqrt(float32.from_bits(np.array(patterns, dtype=np.uint32)))).tolist()
    for a, y in zip(patterns, got, strict=True):
        x = value(a)
        if x is None or x < 0:
            assert y == INVALID
        elif x == 0:
            assert y == a & 0x80000000
        else:
            # The root lies between the midpoints to both neighbours; it is never a midpoint itself.
            step = Fraction(2) ** ((y >> 23) - 151)
            below = step / 2 if y & 0x7FFFFF == 0 else step
            assert (value(y) - below) ** 2 < x < (value(y) + step) ** 2, f"sqrt({a:#x}) = {y:#x}"


def test_from_int_is_exact():
    rng = np.random.default_rng(6)
    some = rng.integers(-(1 << 48) + 1, 1 << 48, 4_000) >> rng.integers(0, 48, 4_000)
    numbers = np.concatenate([some, [0, 1, -1, (1 << 24) + 1, (1 << 24) + 3, (1 << 48) - 1, 1 - (1 << 48)]])
    got = float32.to_bits(float32.from_int(numbers)).tolist()
    assert got == [rounded(Fraction(n), 0) for n in numbers.tolist()]


@pytest.mark.parametrize("bits", [2, 8, 32, 48])
def test_to_int_is_exact(bits):
    rng = np.random.default_rng(bits)
    sized = (rng.standard_normal(3_000) * 2.0**rng.uniform(-3, bits + 1, 3_000)).astype(np.float32)
    sized[::2] = np.rint(2 * sized[::2]) / 2
    limit = 1 << (bits - 1)
    wanted = [min(max(round(Fraction(float(x))), -limit), limit - 1) for x in sized]
    assert float32.to_int(sized, bits).tolist() == wanted


def test_maximum_magnitude():
    a = np.array([[1, -3, 2], [-1e-40, 0, 1e-41], [1, np.inf, 2]], dtype=np.float32)
    assert float32.to_bits(float32.maximum_magnitude(a, axis=1)).tolist() == [0x40400000, 0, INVALID]
    assert float32.maximum_magnitude(a[:2]) == 3


def test_wrong_values_raise():
    with pytest.raises(ValueError, match="Operands must be float32, not float64"):
        float32.add(np.float64(1), np.float32(1))
    with pytest.raises(ValueError, match="Integers are wanted, not float32"):
        float32.from_int(np.float32(1))
    with pytest.raises(ValueError, match=r"Integers must be below 2\*\*48 in magnitude, not 0\.\.2814749"):
        float32.from_int(np.array([0, 1 << 48]))
    with pytest.raises(ValueError, match=r"bits must be 2..48, not 49"):
        float32.to_int(np.float32(1), 49)
    with pytest.raises(ValueError, match="A NaN or an infinity has no integer value"):
        float32.to_int(np.float32(np.inf), 8)
