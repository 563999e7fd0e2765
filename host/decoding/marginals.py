"""Chains of drafts from laws that do not depend on each other."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from terntable.host.decoding.law import TokenLaw, Uniforms
from terntable.host.decoding.tree import DraftTree
from terntable.host.sampling import Sampling, token_law

__all__ = ["Marginals", "best_chain", "draw_chain"]

#: What tells a drafter's draws from the target's.
LANE = 1


class Marginals(Protocol):
    """A model that guesses several next tokens in one forward.

    Attributes
    ----------
    weights : that a forward reads.

    """

    @property
    def weights(self) -> int:
        """As the class has it."""

    def marginals(self, tokens: Sequence[int], count: int) -> NDArray[np.floating]:
        """Logits (count, vocab) of the next `count` tokens; none depends on what the others turn out to be."""


def best_chain(tokens: Sequence[int], logits: NDArray[np.floating]) -> DraftTree:
    """The likeliest token of each row of logits (n, vocab), after the known tokens."""
    values = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
    tree, node = DraftTree(tokens[-1]), 0
    for row in values:
        token = int(row.argmax())
        node = tree.add(node, token, float(row[token] / row.sum()))
    return tree


def draw_chain(tokens: Sequence[int], logits: NDArray[np.floating], sampling: Sampling) -> DraftTree:
    """A draw from each row's law, with the laws as the tree's; the likeliest tokens at temperature 0."""
    if sampling.greedy:
        return best_chain(tokens, logits)
    tree, node = DraftTree(tokens[-1]), 0
    for position, row in enumerate(logits, start=len(tokens)):
        law = tree.laws[node] = TokenLaw(token_law(row, sampling))
        token = law.draw(Uniforms(sampling.seed, position, LANE)())
        node = tree.add(node, token, law.prob(token))
    return tree
