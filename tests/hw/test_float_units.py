"""Every float32 unit and Exp2 against its twin: 100,000 random operands and every pair of corners each."""

import numpy as np
import pytest

from terntable.models.golden import float32
from terntable.models.golden.exp2 import exp2_negative
from tests.hw.float_harness import Harness, build
from tests.hw.float_operands import corner_pairs, random_pairs

COUNT = 100_000
SEED = 20


@pytest.fixture(scope="module")
def harness(tmp_path_factory) -> Harness:
    return build(tmp_path_factory.mktemp("float"))


def operands(seed):
    return (np.concatenate(side) for side in zip(corner_pairs(), random_pairs(COUNT, seed), strict=True))


def assert_same(name, got, wanted, a, b=None):
    wrong = np.flatnonzero(got != wanted)
    if len(wrong):
        k = wrong[0]
        second = "" if b is None else f", {int(b[k]):#x}"
        pytest.fail(f"{name}: {len(wrong)} of {len(got)} differ, first ({int(a[k]):#x}{second}): "
                    f"hardware {int(got[k]):#x}, twin {int(wanted[k]):#x}")


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
def test_two_operands(harness, name):
    a, b = operands(SEED)
    got, _ = harness.run(name, a, b)
    twin = getattr(float32, name)(float32.from_bits(a), float32.from_bits(b))
    assert_same(name, got, float32.to_bits(twin), a, b)


@pytest.mark.parametrize("name", ["sqrt", "reciprocal", "exp", "sigmoid"])
def test_one_operand(harness, name):
    rng = np.random.default_rng(SEED + 1)
    # Patterns of every kind, and as many numbers where the exponential is neither 0 nor too large.
    mixed, _ = operands(SEED + 1)
    useful = (rng.uniform(-1, 1, COUNT) * 2.0**rng.uniform(-30, 7, COUNT)).astype(np.float32)
    a = np.concatenate([mixed[:len(mixed) - COUNT // 2], float32.to_bits(useful)[:COUNT // 2]])
    got, _ = harness.run(name, a)
    assert_same(name, got, float32.to_bits(getattr(float32, name)(float32.from_bits(a))), a)


@pytest.mark.parametrize("width", [8, 32, 48])
def test_from_int(harness, width):
    rng = np.random.default_rng(SEED + width)
    limit = 1 << (width - 1)
    scaled = rng.integers(-limit, limit, COUNT) >> rng.integers(0, width, COUNT)
    # Halfway cases: 25 significant bits, the last one set, and then near misses.
    places = max(0, width - 25)
    halves = ((rng.integers(0, 1 << 24, COUNT) << 1 | 1) << rng.integers(0, places + 1, COUNT)) % limit
    halves += rng.integers(-1, 2, COUNT)
    edges = np.array([0, 1, -1, limit - 1, -limit, 1 - limit])
    a = np.clip(np.concatenate([scaled[:COUNT // 2], halves[:COUNT // 2], edges]), -limit, limit - 1)
    got, _ = harness.run(f"from_int_{width}", a)
    assert_same(f"from_int_{width}", got, float32.to_bits(float32.from_int(a)), a)


@pytest.mark.parametrize("width", [2, 8, 32, 48])
def test_to_int(harness, width):
    rng = np.random.default_rng(SEED + width)
    mixed, _ = operands(SEED + width)
    sized = rng.standard_normal(COUNT) * 2.0**rng.uniform(-3, width + 1, COUNT)
    sized[::3] = np.rint(2 * sized[::3]) / 2
    limit = 2.0 ** (width - 1)
    edges = np.array([side * (limit + offset) for side in (-1, 1) for offset in (-1, -0.5, 0, 0.5, 1)])
    values = np.concatenate([sized[:COUNT // 2], edges]).astype(np.float32)
    a = np.concatenate([mixed[:len(mixed) - COUNT // 2], float32.to_bits(values)])
    got, invalid = harness.run(f"to_int_{width}", a)
    wanted_invalid = float32.is_invalid(float32.from_bits(a))
    assert (invalid == wanted_invalid).all()
    number = np.where(wanted_invalid, 0, a).astype(np.uint32)
    wanted = float32.to_int(float32.from_bits(number), width)
    assert_same(f"to_int_{width}", got.view(np.int64) << (64 - width) >> (64 - width), wanted, a)


def test_exp2_at_every_input(harness):
    x = np.arange(1 << 21)
    got, _ = harness.run("exp2", x)
    assert_same("exp2", got, exp2_negative(x).astype(np.uint64), x)
