"""Scores of tokens after a pair of tokens: those of a corpus, raised by what the text itself has."""

from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from terntable.host.decoding.trigrams import TrigramCorpus

__all__ = ["EMPTY", "Successors", "TrigramScores"]


class Successors(NamedTuple):
    """Tokens that may follow a pair, of greatest score first.

    Attributes
    ----------
    tokens, scores : of each.
    reached : running sums of the scores.

    """

    tokens: list[int]
    scores: list[float]
    reached: list[float]

    def share(self, score: float) -> float:
        """A score as an estimate of a probability: the scores of a pair may sum to more than 1, and say little if they are low."""
        return score / max(1.0, self.reached[-1])


EMPTY = Successors([], [], [])


class TrigramScores:
    """A corpus, which stays as it is, and the scores of one text above it.

    Parameters
    ----------
    corpus : None for a table that begins empty.
    step : what an occurrence adds.
    cap : no score is raised above it.

    """

    def __init__(self, corpus: TrigramCorpus | None = None, *, step: float = 0.04, cap: float = 3.0) -> None:
        self.corpus, self.step, self.cap = corpus, step, cap
        self._own: dict[tuple[int, int], dict[int, float]] = {}
        self._ranked: dict[tuple[int, int], Successors] = {}

    def adapt(self, tokens: Sequence[int]) -> None:
        """Raise the score of each triple in a text."""
        for a, b, c in zip(tokens, tokens[1:], tokens[2:], strict=False):
            row = self._own.get((a, b))
            if row is None:
                row = self._own[a, b] = self._known((a, b))
            score = row.get(c, 0.0)
            row[c] = max(score, min(score + self.step, self.cap))
            self._ranked.pop((a, b), None)

    def score(self, a: int, b: int, c: int) -> float:
        """Score of a token after a pair, 0 if it is not in the table."""
        row = self._own.get((a, b))
        return (self._known((a, b)) if row is None else row).get(c, 0.0)

    def successors(self, pair: tuple[int, int]) -> Successors:
        """What may follow a pair; lower tokens first among equals."""
        found = self._ranked.get(pair)
        if found is None:
            row = self._own.get(pair)
            order = sorted((self._known(pair) if row is None else row).items(), key=lambda one: (-one[1], one[0]))
            found = EMPTY
            if order:
                scores = [score for _, score in order]
                found = Successors([token for token, _ in order], scores, list(accumulate(scores)))
            self._ranked[pair] = found
        return found

    def _known(self, pair: tuple[int, int]) -> dict[int, float]:
        return {} if self.corpus is None else self.corpus.row(pair)
