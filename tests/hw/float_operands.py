"""Operand patterns for the float32 units: corner classes, and random mixes that reach every rounding case."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["CORNERS", "corner_pairs", "random_pairs"]

_POSITIVE = {
    "zero": 0x00000000,
    "least subnormal": 0x00000001,
    "greatest subnormal": 0x007FFFFF,
    "least normal": 0x00800000,
    "next to least normal": 0x00800001,
    "twice the least normal": 0x01000000,
    "just below that": 0x00FFFFFF,
    "square root of the least normal": 0x20000000,
    "half an ulp of one": 0x33800000,
    "ulp of one": 0x34000000,
    "half": 0x3F000000,
    "just below one": 0x3F7FFFFF,
    "one": 0x3F800000,
    "just above one": 0x3F800001,
    "one and a half": 0x3FC00000,
    "three": 0x40400000,
    "2**24": 0x4B800000,
    "2**24 + 2": 0x4B800001,
    "square root of 2**126": 0x5F000000,
    "half of the overflow": 0x7F000000,
    "half of max": 0x7EFFFFFF,
    "half an ulp of max": 0x73000000,
    "max": 0x7F7FFFFF,
    "infinity": 0x7F800000,
    "quiet NaN": 0x7FC00000,
    "signalling NaN": 0x7F800001,
}

#: name: pattern, for both signs.
CORNERS = {f"{sign}{name}": pattern | bit for sign, bit in (("", 0), ("minus ", 0x80000000))
           for name, pattern in _POSITIVE.items()}


def corner_pairs() -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Every corner with every corner."""
    corners = np.array(list(CORNERS.values()), dtype=np.uint32)
    a, b = np.meshgrid(corners, corners, indexing="ij")
    return a.ravel(), b.ravel()


def _join(sign: NDArray, exponent: NDArray, fraction: NDArray) -> NDArray[np.uint32]:
    exponent = np.clip(exponent, 0, 255)
    return ((sign << 31) | (exponent << 23) | fraction).astype(np.uint32)


def random_pairs(count: int, seed: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """``count`` operand pairs, an equal share from each mix, shuffled."""
    rng = np.random.default_rng(seed)
    mixes = []
    n = -(-count // 10)

    def sign() -> NDArray:
        return rng.integers(0, 2, n)

    def fraction() -> NDArray:
        return rng.integers(0, 1 << 23, n)

    def short_fraction() -> NDArray:
        """Few bits at the top, so that sums and products come to lie halfway."""
        bits = rng.integers(0, 14, n)
        return (rng.integers(0, 1 << 13, n) >> (13 - np.minimum(bits, 13))) << (23 - np.minimum(bits, 13))

    def odd_fraction(places: NDArray) -> NDArray:
        """The last of ``places`` bits is one, all below are zero."""
        return ((rng.integers(0, 1 << 23, n) >> (23 - places)) | 1) << (23 - places)

    def exponent(low: int, high: int) -> NDArray:
        return rng.integers(low, high + 1, n)

    def mix(exponent_a: NDArray, exponent_b: NDArray, fraction_a: NDArray, fraction_b: NDArray) -> None:
        mixes.append((_join(sign(), exponent_a, fraction_a), _join(sign(), exponent_b, fraction_b)))

    middle = exponent(1, 254)
    # Any patterns; exponents a few apart; halfway sums, also at the far end of the shifter.
    mix(exponent(0, 255), exponent(0, 255), fraction(), fraction())
    mix(middle, middle + exponent(-3, 3), fraction(), fraction())
    mix(middle, middle - exponent(0, 27), short_fraction(), short_fraction())
    # Cancellation: b a few units in the last place from a, often with the exponent changing between them.
    near = np.where(rng.random(n) < 0.3, 0, fraction())
    a = _join(sign(), exponent(1, 254), near)
    mixes.append((a, ((a ^ (sign() << 31)) + rng.integers(-40, 41, n)).astype(np.uint32)))
    # The lower end: sums, products and quotients near 2**-126, and subnormal operands.
    mix(exponent(0, 26), exponent(0, 26), fraction(), np.where(rng.random(n) < 0.5, 0, short_fraction()))
    # Significands s and nearly 2/s: products lie just around a power of two.
    s = fraction()
    inverse = (2.0**47 / (s + (1 << 23)) + rng.integers(-1, 2, n)).astype(np.int64) & 0x7FFFFF
    inverse = np.where(rng.random(n) < 0.5, inverse, fraction())
    mix(middle, 127 - middle + exponent(-2, 1), s, inverse)
    low = exponent(1, 128)
    close = fraction()
    mix(low, low + 126 + exponent(-2, 1), close, np.clip(close + rng.integers(-2, 3, n), 0, 0x7FFFFF))
    # The upper end: sums, products and quotients near 2**128.
    mix(exponent(250, 255), exponent(228, 255), fraction() | 0x7FFF00, fraction())
    upper = exponent(127, 254)
    mix(upper, 381 - upper + exponent(-2, 1), s, inverse)
    # Products with 24 bits below the leading one: halfway, unless they reach 2.
    places = exponent(1, 23)
    mix(middle, 127 + exponent(-90, 90), odd_fraction(places), odd_fraction(24 - places))

    a, b = (np.concatenate(side) for side in zip(*mixes, strict=True))
    order = rng.permutation(len(a))[:count]
    return a[order], b[order]
