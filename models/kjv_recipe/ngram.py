"""Baseline: interpolated modified Kneser-Ney n-grams over the same tokens (Chen and Goodman 1998)."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class _Level:
    """Counts of one order, sorted by key, and the sums of each context, sorted by context key."""

    keys: np.ndarray
    counts: np.ndarray
    contexts: np.ndarray
    totals: np.ndarray
    backoff: np.ndarray
    discounts: np.ndarray


def _lookup(table: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (index, found) of each wanted key in a sorted table."""
    index = np.minimum(np.searchsorted(table, wanted), len(table) - 1)
    return index, table[index] == wanted


class KneserNey:
    """n-gram model of a token stream.

    Each n-gram is one int64 key in base `vocabulary`. Orders below the highest count in how many different
    left contexts an n-gram was seen; the lowest falls back to the uniform distribution.
    """

    def __init__(self, *, tokens: np.ndarray, vocabulary: int, order: int = 5) -> None:
        """`tokens` is a 1-D int64 stream; ValueError when `order` tokens do not fit one int64 key."""
        if order < 1 or vocabulary**order >= 2**63:
            raise ValueError(f"{order}-grams of {vocabulary} tokens do not fit a 64-bit key")
        if len(tokens) < order:
            raise ValueError(f"{len(tokens)} tokens hold no {order}-gram")
        self.vocabulary = vocabulary
        self.order = order
        keys, counts = np.unique(self._keys(tokens, order), return_counts=True)
        levels = []
        for length in range(order, 0, -1):
            levels.append(self._level(keys, counts))
            if length > 1:
                keys, counts = np.unique(keys % vocabulary ** (length - 1), return_counts=True)
        self._levels = levels[::-1]

    def _keys(self, tokens: np.ndarray, length: int) -> np.ndarray:
        """Keys of all `length`-grams of a stream, in order."""
        count = len(tokens) - length + 1
        keys = np.zeros(count, dtype=np.int64)
        for offset in range(length):
            keys = keys * self.vocabulary + tokens[offset : offset + count]
        return keys

    def _level(self, keys: np.ndarray, counts: np.ndarray) -> _Level:
        # Chen and Goodman's estimate; n_i is the number of n-grams counted exactly i times.
        n = np.array([np.count_nonzero(counts == i) for i in range(1, 5)], dtype=np.float64)
        base = n[0] / max(n[0] + 2 * n[1], 1.0)
        steps = [i - (i + 1) * base * n[i] / max(n[i - 1], 1.0) for i in (1, 2, 3)]
        # On tiny texts the estimate can leave the range in which the model is a distribution.
        discounts = np.array([0.0] + [min(max(step, 0.1), 0.95 * i) for i, step in enumerate(steps, start=1)])
        contexts, owner = np.unique(keys // self.vocabulary, return_inverse=True)
        totals = np.bincount(owner, weights=counts)
        backoff = np.bincount(owner, weights=discounts[np.minimum(counts, 3)])
        return _Level(keys, counts, contexts, totals, backoff / totals, discounts)

    def bits(self, tokens: np.ndarray) -> np.ndarray:
        """Bits of each token of a stream but the first, given all tokens before it; float64 (len - 1,)."""
        return -np.log2(self.probabilities(tokens))

    def probabilities(self, tokens: np.ndarray) -> np.ndarray:
        """Probability of each token but the first, given all tokens before it; float64 (len - 1,)."""
        probability = np.full(len(tokens) - 1, 1.0 / self.vocabulary)
        for length, level in enumerate(self._levels, start=1):
            # Near the start the history is too short for this order: those tokens keep the lower estimate.
            first = max(length - 2, 0)
            keys = self._keys(tokens, length)[1 if length == 1 else 0 :]
            if not len(keys):
                break
            context, known = _lookup(level.contexts, keys // self.vocabulary)
            gram, seen = _lookup(level.keys, keys)
            count = np.where(seen, level.counts[gram], 0)
            direct = (count - level.discounts[np.minimum(count, 3)]) / level.totals[context]
            lower = probability[first:]
            probability[first:] = np.where(known, direct + level.backoff[context] * lower, lower)
        return probability
