"""Rules that change the target's law; each says how."""

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from terntable.host.decoding.law import TokenLaw, Uniforms
from terntable.host.decoding.rules import Trials, pick
from terntable.host.decoding.scores import Scores
from terntable.host.decoding.tree import DraftTree
from terntable.host.sampling import Sampling

__all__ = ["TopBeta", "Typical"]

#: The law that the conditions are about, whatever the temperature of the draws.
_PLAIN = Sampling(temperature=1.0)


class _Lossy:
    """Takes the likeliest draft that fulfils a condition, else draws as plain sampling would."""

    lossless: ClassVar[bool] = False

    def fulfils(self, law: TokenLaw, token: int) -> bool:
        raise NotImplementedError

    def trials(self, law: TokenLaw, drafted: Sequence[int], source: TokenLaw | None) -> Trials:
        """As a rule has it; `law` is that of temperature 1, and what is left is its best token."""
        good = [token for token in drafted if self.fulfils(law, token)]
        taken = [(max(good, key=law.prob), 1.0)] if good else []
        return taken, TokenLaw.of_top([law.best()], [1.0], len(law.p))

    def choose(self, tree: DraftTree, node: int, scores: Scores, sampling: Sampling, position: int) -> int:
        """The token after a node."""
        taken, rest = self.trials(scores.law(node, _PLAIN), tree.drawn(node), None)
        if not sampling.greedy:
            rest = scores.law(node, sampling)
        return pick((taken, rest), Uniforms(sampling.seed, position))


class TopBeta(_Lossy):
    """A draft passes among the `beta` likeliest tokens, within `gap` of the best one in log-probability (GAD++)."""

    def __init__(self, beta: int = 5, gap: float = 3.0) -> None:
        self.beta, self.gap = beta, gap

    def fulfils(self, law: TokenLaw, token: int) -> bool:
        """Whether the token's rank is below beta and its distance at most the gap."""
        p = law.prob(token)
        if p <= 0:
            return False
        rank = int((law.p > p).sum()) + int((law.p[:token] == p).sum())
        return rank < self.beta and math.log(law.p.max() / p) <= self.gap


class Typical(_Lossy):
    """A draft passes above min(epsilon, delta exp(-entropy)) (Medusa, PPD)."""

    def __init__(self, epsilon: float = 0.09, delta: float = 0.3) -> None:
        self.epsilon, self.delta = epsilon, delta

    def fulfils(self, law: TokenLaw, token: int) -> bool:
        """Whether the token is likely enough for a law of this entropy."""
        positive = law.p[law.p > 0]
        entropy = float(-(positive * np.log(positive)).sum())
        return law.prob(token) > min(self.epsilon, self.delta * math.exp(-entropy))
