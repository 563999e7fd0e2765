"""How well each layer of a model guesses the last one's tokens, and which layer should draft next (DEL, Zarch et al. 2025).

Matches and mismatches of every candidate layer, and the confidence it had in them, are counted with a decay for each round.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["ExitStatistics", "tokens_per_layer"]


def tokens_per_layer(alpha: float, exit_layer: int, layers: int, drafted: int) -> float:
    """Expected tokens of a round by the layers it runs, where each of `drafted` tokens is right with probability alpha.

    (1 + alpha + ... + alpha^drafted) / (layers + drafted * exit_layer): drafting runs the first layers, and verification the rest
    of them for all rows and the first ones once more for the last token.
    """
    expected = drafted + 1.0 if alpha >= 1 else (1 - alpha**(drafted + 1)) / (1 - alpha)
    return expected / (layers + drafted * exit_layer)


class ExitStatistics:
    """Counts of the candidate layers.

    Parameters
    ----------
    layers : of the model.
    candidates : numbers of layers that may draft, each 1 to layers - 1.
    decay : what counts keep of their weight in each round; 1 is plain counting.
    most : longest draft.

    Attributes
    ----------
    counts, confidence : float64 (candidates, 2), of tokens that matched and of those that did not, and the sums of what the
        candidate thought their probability was.

    """

    def __init__(self, layers: int, candidates: Sequence[int], *, decay: float = 0.95, most: int = 18) -> None:
        self.layers, self.candidates, self.decay, self.most = layers, tuple(candidates), decay, most
        self.counts: NDArray[np.float64] = np.zeros((len(self.candidates), 2))
        self.confidence: NDArray[np.float64] = np.zeros((len(self.candidates), 2))

    def add(self, matched: ArrayLike, confidence: ArrayLike) -> None:
        """Count a round: whether candidates' tokens matched, bool (candidates, n), and how sure they were of them."""
        right, sure = np.asarray(matched, bool), np.asarray(confidence, np.float64)
        both = np.stack([right, ~right], axis=-1)
        self.counts = self.decay * self.counts + both.sum(axis=1)
        self.confidence = self.decay * self.confidence + (both * sure[..., None]).sum(axis=1)

    def alpha(self, candidate: int) -> float:
        """Share of matches of a candidate layer; 0 where nothing was counted."""
        right, wrong = self.counts[self.candidates.index(candidate)]
        return float(right / (right + wrong)) if right + wrong > 0 else 0.0

    def threshold(self, candidate: int) -> float:
        """Confidence below which a draft ends: halfway between the means of both classes.

        0 where nothing mismatched, so that drafts do not end; 1 where nothing matched, so that there are none.
        """
        counts, sums = (table[self.candidates.index(candidate)] for table in (self.counts, self.confidence))
        if not counts[1] > 0:
            return 0.0
        if not counts[0] > 0:
            return 1.0
        return float((sums / counts).mean())

    def choose(self) -> tuple[int, int]:
        """The candidate and the length of most tokens a layer; length 0 is plain decoding, the shallower one of equals."""
        options = [(candidate, drafted) for candidate in self.candidates for drafted in range(self.most + 1)]
        return max(options, key=lambda one: tokens_per_layer(self.alpha(one[0]), one[0], self.layers, one[1]))
