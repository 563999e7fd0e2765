"""Every kernel as a stream unit: data, latency and every cycle in all traffic patterns.

The arithmetic is tried with many more operands in test_float_units.py; this is about how the units move.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from amaranth.lib import wiring
from numpy.typing import NDArray

from terntable.hw.exp2 import Exp2
from terntable.hw.float_add import FloatAdd
from terntable.hw.float_exp import FloatExp
from terntable.hw.float_from_int import FloatFromInt
from terntable.hw.float_mul import FloatMul
from terntable.hw.float_parabola import FloatParabola
from terntable.hw.float_quotient import FloatQuotient
from terntable.hw.float_reciprocal import FloatReciprocal
from terntable.hw.float_sigmoid import FloatSigmoid
from terntable.hw.float_sqrt import FloatSqrt
from terntable.hw.float_to_fixed import FloatToFixed
from terntable.hw.float_to_int import FloatToInt
from terntable.hw.kernel import KernelStream
from terntable.hw.spec.float_tables import exp2_parabolas
from terntable.models.golden import float32
from terntable.models.golden.exp2 import exp2_negative
from terntable.models.golden.float_bits import from_bits, is_invalid, to_bits
from terntable.models.golden.float_parabola import float_parabola
from terntable.models.golden.float_to_fixed import float_to_fixed
from tests.hw.float_operands import CORNERS

Words = list[int]


@dataclass(frozen=True)
class Unit:
    """A component, and what gives its input words and the output words that belong to them."""

    make: Callable[[], wiring.Component]
    vectors: Callable[[int, int], tuple[Words, Words]]

    @property
    def latency(self) -> int:
        return self.make().LATENCY


def patterns(count: int, seed: int) -> NDArray[np.uint32]:
    """Corners in a random order first, then numbers of all sizes."""
    rng = np.random.default_rng(seed)
    corners = rng.permutation(np.array(list(CORNERS.values()), np.uint32))[:count // 2]
    rest = to_bits((rng.normal(size=count - len(corners)) * 10.0 ** rng.integers(-9, 9, count - len(corners)))
                   .astype(np.float32))
    return np.concatenate([corners, rest])


def _one(twin: Callable) -> Callable[[int, int], tuple[Words, Words]]:
    def vectors(count: int, seed: int) -> tuple[Words, Words]:
        a = patterns(count, seed)
        return a.tolist(), to_bits(twin(from_bits(a))).tolist()
    return vectors


def _two(twin: Callable, high: int = 0) -> Callable[[int, int], tuple[Words, Words]]:
    """`high` is what the input struct holds above both operands."""
    def vectors(count: int, seed: int) -> tuple[Words, Words]:
        a, b = patterns(count, seed), patterns(count, seed + 1)
        words = [x | y << 32 | high << 64 for x, y in zip(a.tolist(), b.tolist(), strict=True)]
        return words, to_bits(twin(from_bits(a), from_bits(b))).tolist()
    return vectors


def _from_int(width: int) -> Callable[[int, int], tuple[Words, Words]]:
    def vectors(count: int, seed: int) -> tuple[Words, Words]:
        low, high = -(1 << width - 1), (1 << width - 1) - 1
        rng = np.random.default_rng(seed)
        values = np.concatenate([[low, high, 0, -1, 1], rng.integers(low, high, count - 5, endpoint=True)])
        return [v & (1 << width) - 1 for v in values.tolist()], to_bits(float32.from_int(values)).tolist()
    return vectors


def _to_int(width: int) -> Callable[[int, int], tuple[Words, Words]]:
    """The output struct is the integer, and the flag of an invalid operand above it."""
    def vectors(count: int, seed: int) -> tuple[Words, Words]:
        a = patterns(count, seed)
        invalid = is_invalid(from_bits(a))
        values = float32.to_int(np.where(invalid, np.float32(0), from_bits(a)), width)
        return a.tolist(), [v & (1 << width) - 1 | int(bad) << width
                            for v, bad in zip(values.tolist(), invalid.tolist(), strict=True)]
    return vectors


def _fixed(count: int, seed: int) -> tuple[Words, Words]:
    a = patterns(count, seed)
    return a.tolist(), float_to_fixed(from_bits(a)).tolist()


def _integers(twin: Callable, bits: int, mask: int) -> Callable[[int, int], tuple[Words, Words]]:
    def vectors(count: int, seed: int) -> tuple[Words, Words]:
        rest = np.random.default_rng(seed).integers(0, 1 << bits, count - 3)
        x = np.concatenate([[0, 1, (1 << bits) - 1], rest])
        return x.tolist(), [y & mask for y in twin(x).tolist()]
    return vectors


def _stream(kernel: Callable, **parameters: object) -> Callable[[], KernelStream]:
    return lambda: KernelStream(kernel=kernel(**parameters))


TABLE = exp2_parabolas()
PARABOLA = FloatParabola(table=TABLE)

UNITS = {
    "add": Unit(_stream(FloatAdd), _two(float32.add)),
    "sub": Unit(_stream(FloatAdd), _two(float32.sub, high=1)),
    "mul": Unit(_stream(FloatMul), _two(float32.mul)),
    "from_int_9": Unit(_stream(FloatFromInt, width=9), _from_int(9)),
    "from_int_32": Unit(_stream(FloatFromInt, width=32), _from_int(32)),
    "from_int_48": Unit(_stream(FloatFromInt, width=48), _from_int(48)),
    "to_int_8": Unit(_stream(FloatToInt, width=8), _to_int(8)),
    "to_int_16": Unit(_stream(FloatToInt, width=16), _to_int(16)),
    "to_int_33": Unit(_stream(FloatToInt, width=33), _to_int(33)),
    "to_fixed": Unit(_stream(FloatToFixed), _fixed),
    "exp2": Unit(_stream(Exp2), _integers(exp2_negative, 21, 0x1FFFF)),
    "parabola": Unit(_stream(FloatParabola, table=TABLE),
                     _integers(lambda x: float_parabola(TABLE, x), PARABOLA.x.shape().width,
                               (1 << len(PARABOLA.y)) - 1)),
    "exp": Unit(_stream(FloatExp), _one(float32.exp)),
    "reciprocal": Unit(_stream(FloatReciprocal), _one(float32.reciprocal)),
    "sigmoid": Unit(_stream(FloatSigmoid), _one(float32.sigmoid)),
    "quotient": Unit(_stream(FloatQuotient), _two(float32.div)),
    "sqrt": Unit(_stream(FloatSqrt), _one(float32.sqrt)),
}


@pytest.mark.parametrize("name", list(UNITS))
def test_vectors_are_of_use(name):
    """Results differ from one another and do not all fit one word of zeros."""
    words, results = UNITS[name].vectors(200, 3)
    assert len(words) == len(results) == 200 and len(set(words)) > 100 and len(set(results)) > 20


def test_match_twins_in_every_cycle(simulate):
    simulate({name: unit.make() for name, unit in UNITS.items()}, "tests.hw.kernels_bench")
