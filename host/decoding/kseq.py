"""k-SEQ: k independent drafts of one law against the target's, near the optimal transport (SpecTr, Sun et al. 2023)."""

from collections.abc import Sequence

import numpy as np

from terntable.host.decoding.law import TokenLaw
from terntable.host.decoding.rules import Lossless, Trials

__all__ = ["KSeq", "division"]

#: Rounding of a residual that may be below zero.
SLACK = 1e-12


def division(p: TokenLaw, q: TokenLaw, k: int) -> float:
    """The least rho of 1 to k by which p/q may be divided so that k trials do not take more than p has.

    The root of 1 - (1 - beta)^k = rho beta, where beta(rho) = sum min(q, p / rho) is what one trial takes.
    """
    def too_much(rho: float) -> bool:
        beta = np.minimum(q.p, p.p / rho).sum()
        return bool(1 - (1 - beta)**k > rho * beta)

    low, high = 1.0, float(k)
    if not too_much(low):
        return low
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if too_much(middle) else (low, middle)
    return high


class KSeq(Lossless):
    """Take each draft x with min(1, p(x) / (rho q(x))); if none is taken, draw from what p has left."""

    def trials(self, law: TokenLaw, drafted: Sequence[int], source: TokenLaw | None) -> Trials:
        k = len(drafted)
        if not k:
            return [], law
        if source is None:
            raise ValueError("k-SEQ needs the law that the drafts were drawn from")
        rho = division(law, source, k)
        taken = np.minimum(source.p, law.p / rho)
        beta = taken.sum()
        # With beta of 0 no draft is ever taken.
        accepted = 1 - (1 - beta)**k
        rest = law.p - (taken * (accepted / beta) if beta > 0 else 0)
        assert rest.min() > -SLACK
        rest = np.maximum(rest, 0)
        tried = [(token, min(1.0, law.prob(token) / (rho * source.prob(token)))) for token in drafted]
        return tried, TokenLaw.of_weights(rest) if rest.sum() > SLACK else law
