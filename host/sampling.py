"""The law that the next token is drawn from, the same for every device."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.host.errors import InputError

__all__ = ["GREEDY", "Sampling", "draw", "inverse", "token_law", "uniform"]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a token is chosen.

    Attributes
    ----------
    temperature : logits are divided by it; 0 takes the largest, the lowest token of equals.
    top_k : only this many of the largest logits, lower tokens first among equals; 0 is off.
    top_p : of these, only the fewest likeliest that reach this probability together; 1 is off.
    seed : a draw depends on it and on the token's position, on nothing else.

    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise InputError(f"The temperature must be a finite number of at least 0, not {self.temperature}")
        if self.top_k < 0:
            raise InputError(f"top-k must be at least 0, not {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top-p must be above 0 and at most 1, not {self.top_p}")
        if not 0 <= self.seed < 1 << 64:
            raise InputError(f"The seed must be 0 to {(1 << 64) - 1}, not {self.seed}")

    @property
    def greedy(self) -> bool:
        """Whether the largest logit decides, so that no logits are needed."""
        return self.temperature == 0 or self.top_k == 1


GREEDY = Sampling()


def token_law(logits: ArrayLike, sampling: Sampling) -> NDArray[np.float64]:
    """Probabilities (vocab,) of the next token, from logits (vocab,)."""
    values = np.asarray(logits, np.float64)
    law = np.zeros(len(values))
    if sampling.greedy:
        law[values.argmax()] = 1
        return law
    whole = not sampling.top_k and sampling.top_p == 1
    # Stable, so equals stay in the order of their tokens.
    order = np.arange(len(values)) if whole else np.argsort(-values, kind="stable")
    if sampling.top_k:
        order = order[:sampling.top_k]
    with np.errstate(over="ignore"):
        # The largest logit is subtracted first: a tiny temperature then gives zeros, not infinities.
        weights = np.exp((values[order] - values.max()) / sampling.temperature)
    weights /= weights.sum()
    if sampling.top_p < 1:
        reached = np.cumsum(weights)
        kept = int(np.searchsorted(reached, sampling.top_p)) + 1
        order, weights = order[:kept], weights[:kept]
        weights = weights / weights.sum()
    law[order] = weights
    return law


def uniform(*, seed: int, position: int, lane: int = 0, index: int = 0) -> float:
    """A number of [0, 1) that depends on its place alone; lane 0 and index 0 are the draw of the token at a position."""
    return float(np.random.Generator(np.random.Philox(key=[seed, 0], counter=[index, position, lane, 0])).random())


def inverse(law: NDArray[np.float64], reached: NDArray[np.float64], u: float) -> int:
    """The token of a law at u of [0, 1), where `reached` are the law's running sums."""
    token = int(np.searchsorted(reached, u * reached[-1], side="right"))
    return token if token < len(law) and law[token] > 0 else int(np.flatnonzero(law)[-1])


def draw(law: NDArray[np.float64], *, seed: int, position: int) -> int:
    """A token of the law; the same for the same seed and position, whatever was drawn before."""
    return inverse(law, np.cumsum(law), uniform(seed=seed, position=position))
