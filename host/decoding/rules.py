"""How a node's law and its drafted children become the next token; each rule is a list of trials and a law for the rest.

The trials of a rule are tried in order: a token is taken with the probability beside it. If none is taken, the token comes from
the law for the rest. What a rule emits in all can therefore be computed as well as drawn, from the same description.
"""

from collections.abc import Sequence
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from terntable.host.decoding.law import TokenLaw, Uniforms
from terntable.host.decoding.scores import Scores
from terntable.host.decoding.tree import DraftTree
from terntable.host.sampling import Sampling

__all__ = ["Deterministic", "Lossless", "Match", "Ratio", "Recursive", "Rule", "emitted", "pick"]

#: Tokens with the probability that each is taken, and the law if none is.
Trials = tuple[list[tuple[int, float]], TokenLaw]


class Rule(Protocol):
    """Chooses the token after a node.

    Attributes
    ----------
    lossless : whether the token's law is the target's for every draft.

    """

    lossless: ClassVar[bool]

    def trials(self, law: TokenLaw, drafted: Sequence[int], source: TokenLaw | None) -> Trials:
        """What is tried at a node.

        Parameters
        ----------
        law : of the target.
        drafted : tokens of the children in the order of their draws.
        source : what they were drawn from; None if they were chosen.

        """

    def choose(self, tree: DraftTree, node: int, scores: Scores, sampling: Sampling, position: int) -> int:
        """The token after a node; `position` is that of the token."""


def pick(trials: Trials, uniforms: Uniforms) -> int:
    """The token that the trials give; the rest is drawn with number 0, as plain sampling would, trial i with number i + 1."""
    tried, rest = trials
    for index, (token, probability) in enumerate(tried, start=1):
        if uniforms(index) < probability:
            return token
    return rest.draw(uniforms(0))


def emitted(trials: Trials) -> NDArray[np.float64]:
    """Probabilities (vocab,) of the token that the trials give."""
    tried, rest = trials
    total, left = np.zeros(len(rest.p)), 1.0
    for token, probability in tried:
        total[token] += left * probability
        left *= 1 - probability
    return total + left * rest.p


class Lossless:
    """At temperature 0 every rule of this kind takes the target's best token."""

    lossless: ClassVar[bool] = True

    def trials(self, law: TokenLaw, drafted: Sequence[int], source: TokenLaw | None) -> Trials:
        raise NotImplementedError

    def choose(self, tree: DraftTree, node: int, scores: Scores, sampling: Sampling, position: int) -> int:
        if sampling.greedy:
            return scores.best[node]
        return pick(self.trials(scores.law(node, sampling), tree.drawn(node), tree.laws.get(node)),
                    Uniforms(sampling.seed, position))


class Match(Lossless):
    """Draw the token as plain sampling would and see whether it was drafted: equal to plain sampling token for token."""

    def trials(self, law: TokenLaw, drafted: Sequence[int], source: TokenLaw | None) -> Trials:
        return [], law


class Ratio(Lossless):
    """Take the one draft x of law q with min(1, p(x)/q(x)), else draw from what p has more (Leviathan et al. 2023)."""

    def trials(self, law: TokenLaw, drafted: Sequence[int], source: TokenLaw | None) -> Trials:
        if not drafted:
            return [], law
        if source is None or len(drafted) != 1:
            raise ValueError(f"The ratio rule takes one draft and the law it was drawn from, not {len(drafted)} drafts "
                             f"{'and no' if source is None else 'with a'} law")
        token = drafted[0]
        return [(token, min(1.0, law.prob(token) / source.prob(token)))], law.residual(source)


class Deterministic(Lossless):
    """Children that were chosen, not drawn: take each with what probability is left to it (EAGLE-2's rule above temperature 0)."""

    def trials(self, law: TokenLaw, drafted: Sequence[int], source: TokenLaw | None) -> Trials:
        tried: list[tuple[int, float]] = []
        left: TokenLaw | None = law
        for token in dict.fromkeys(drafted):
            assert left is not None
            tried.append((token, left.prob(token)))
            left = left.without(token)
            if left is None:
                # All of the law was on the drafts, so this token is certain.
                return tried, law
        assert left is not None
        return tried, left


class Recursive(Lossless):
    """Several drafts of one law, tried one after the other against what the refused ones leave (SpecInfer, RRS).

    Parameters
    ----------
    replaced : whether a token can be drawn twice. Without, each draft's law is the source without the drafts before it.

    """

    def __init__(self, *, replaced: bool = True) -> None:
        self.replaced = replaced

    def trials(self, law: TokenLaw, drafted: Sequence[int], source: TokenLaw | None) -> Trials:
        if not drafted:
            return [], law
        if source is None:
            raise ValueError("The recursive rule needs the law that the drafts were drawn from")
        tried: list[tuple[int, float]] = []
        left, drawn_from = law, source
        for token in drafted:
            tried.append((token, min(1.0, left.prob(token) / drawn_from.prob(token))))
            left = left.residual(drawn_from)
            if not self.replaced:
                following = drawn_from.without(token)
                if following is None:
                    break
                drawn_from = following
        return tried, left
