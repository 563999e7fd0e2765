"""The law of the next token, and the draws from it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.host.sampling import inverse, uniform

__all__ = ["TokenLaw", "Uniforms"]


@dataclass(frozen=True, eq=False)
class TokenLaw:
    """Probabilities of every token.

    Attributes
    ----------
    p : float64 (vocab,), at least 0, of sum 1.

    """

    p: NDArray[np.float64]

    @classmethod
    def of_weights(cls, weights: ArrayLike) -> "TokenLaw":
        """The law in proportion to weights (vocab,) of at least 0; ValueError if all are 0."""
        values = np.asarray(weights, np.float64)
        total = values.sum()
        if not total > 0:
            raise ValueError("A law needs a token of positive weight")
        return cls(values / total)

    @classmethod
    def of_top(cls, tokens: ArrayLike, weights: ArrayLike, vocab: int) -> "TokenLaw":
        """The law of a few tokens (k,) in proportion to their weights (k,); all others have none."""
        values = np.zeros(vocab)
        values[np.asarray(tokens)] = weights
        return cls.of_weights(values)

    @cached_property
    def _reached(self) -> NDArray[np.float64]:
        return np.cumsum(self.p)

    def best(self) -> int:
        """The likeliest token, the lowest of equals."""
        return int(self.p.argmax())

    def prob(self, token: int) -> float:
        """Probability of a token."""
        return float(self.p[token])

    def draw(self, u: float) -> int:
        """The token at a uniform number u of [0, 1), by inversion."""
        return inverse(self.p, self._reached, u)

    def residual(self, other: "TokenLaw") -> "TokenLaw":
        """What this law has more than the other one; this law itself where that is nothing."""
        more = np.maximum(self.p - other.p, 0)
        return TokenLaw.of_weights(more) if more.sum() > 0 else self

    def without(self, token: int) -> "TokenLaw | None":
        """The law given that a token is not drawn; None if it has no other."""
        left = self.p.copy()
        left[token] = 0
        return TokenLaw.of_weights(left) if left.sum() > 0 else None

    def top(self, count: int) -> list[int]:
        """The likeliest tokens, likeliest first, lower ones first among equals; at most those of positive probability."""
        count = min(count, len(self.p))
        kept = np.flatnonzero(self.p >= np.partition(self.p, -count)[-count])
        order = kept[np.argsort(-self.p[kept], kind="stable")][:count]
        return [int(token) for token in order if self.p[token] > 0]


@dataclass(frozen=True)
class Uniforms:
    """Uniform numbers that depend on a seed, a position and an index, and on nothing that was drawn before.

    Index 0 of the target's lane is the number that plain sampling draws the token of that position with.
    """

    seed: int
    position: int
    lane: int = 0

    def __call__(self, index: int = 0) -> float:
        return uniform(seed=self.seed, position=self.position, lane=self.lane, index=index)
