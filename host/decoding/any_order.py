"""Models that know the law of any token given any others, as targets whose sequence runs through the positions in an order.

The order sigma has the known positions first, then the others, each group ascending, so that a text with gaps is one of 2^N, not of
N!, patterns (ASSD, section on the model). By rank in this order such a target is like any other: a prompt is known, tokens follow
one after another, and a chain of drafts is verified in one pass. What it has besides is `ahead`: laws of several next positions
that know nothing of each other, from the same model, so that it drafts for itself.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from terntable.host.decoding.capabilities import Capability
from terntable.host.decoding.scores import Scores
from terntable.host.decoding.tree import DraftTree
from terntable.host.errors import InputError, SessionError
from terntable.host.rows import check_path
from terntable.host.target import Counters

__all__ = ["AnyOrderModel", "AnyOrderTarget", "log_likelihood", "order_of"]


class AnyOrderModel(Protocol):
    """A model of N positions whose attention follows ranks.

    Attributes
    ----------
    vocab : legal tokens; a mask is none of them.
    longest : most positions.
    layers, layer_weights : as of a `DecodingTarget`.

    """

    vocab: int
    longest: int
    layers: int
    layer_weights: int

    def logits(self, tokens: Sequence[int], order: Sequence[int], given: int, wanted: Sequence[int],
               seen: Sequence[int]) -> NDArray[np.floating]:
        """Logits (n, vocab) of positions order[wanted[i]], given the tokens of all ranks below seen[i].

        Parameters
        ----------
        tokens : by rank, as far as they are known; at least max(seen) of them.
        order : the position of each rank.
        given : ranks below it see each other; of the others each sees those before it.

        """


def order_of(tokens: Sequence[int | None]) -> tuple[list[int], int]:
    """Positions by rank of a text with gaps, and how many of them are known."""
    known = [place for place, token in enumerate(tokens) if token is not None]
    return known + [place for place, token in enumerate(tokens) if token is None], len(known)


def log_likelihood(model: AnyOrderModel, tokens: Sequence[int], gaps: Sequence[int]) -> float:
    """Log-probability (nats) of the tokens at the positions `gaps`, given all others: one call."""
    holes = set(gaps)
    order, given = order_of([None if place in holes else token for place, token in enumerate(tokens)])
    ranks = range(given, len(order))
    logits = np.asarray(model.logits([tokens[place] for place in order], order, given, ranks, ranks), np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    chosen = logits[np.arange(len(ranks)), [tokens[order[rank]] for rank in ranks]]
    return float((chosen - np.log(np.exp(logits).sum(axis=1))).sum())


class AnyOrderTarget:
    """One text with gaps; a sequence is its tokens by rank. The last one needs no place, so the context is N - 1.

    Parameters
    ----------
    order, given : see :func:`order_of`.

    Raises
    ------
    InputError
        No position is known, none is not, or there are more than the model has.

    """

    name = "any-order"
    capabilities = Capability.CHAIN | Capability.FULL_LAW | Capability.ORDER_MASK

    def __init__(self, model: AnyOrderModel, order: Sequence[int], given: int) -> None:
        if not 1 <= given < len(order):
            raise InputError(f"A text to be filled in needs known tokens and gaps, not {given} known ones of {len(order)}")
        if len(order) > model.longest:
            raise InputError(f"The text has {len(order)} positions, but the model has {model.longest}")
        self.model, self.order, self.given = model, list(order), given
        self.rows, self.context, self.vocab = len(order), len(order) - 1, model.vocab
        self.layers, self.layer_weights = model.layers, model.layer_weights
        self._tokens: list[int] = []
        self._scored: tuple[list[int], list[int]] = [], []
        self._ahead: tuple[list[int], NDArray[np.floating]] | None = None

    @property
    def length(self) -> int:
        """Committed tokens."""
        return len(self._tokens)

    def ahead(self, tokens: Sequence[int], count: int) -> NDArray[np.floating]:
        """Logits (count, vocab) of the next ranks after `tokens`, each given these and nothing else: one call."""
        known = len(tokens)
        rows = self.model.logits(tokens, self.order, self.given, range(known, known + count), [known] * count)
        self._ahead = list(tokens), rows[0]
        return rows

    def score(self, tree: DraftTree, prefix: Sequence[int] = (), *, logits: bool = False,
              hidden: Sequence[int] = ()) -> Scores:
        """As `DecodingTarget.score`, for chains: one call over all that is known, since no rows are kept."""
        if hidden or tree.probes:
            raise SessionError(f"Target {self.name} gives no hidden states and takes no vectors")
        if not tree.is_chain:
            raise SessionError(f"Target {self.name} takes no trees")
        before = [*self._tokens, *prefix]
        first, tokens = len(before) + 1, [*before, *tree.tokens]
        if len(tokens) > self.context:
            raise SessionError(f"{len(tokens)} tokens do not fit: the text has {len(self.order)} positions, and the last is no row")
        ranks = range(first, len(tokens) + 1)
        rows = self.model.logits(tokens, self.order, self.given, ranks, ranks)
        if self._ahead is not None and self._ahead[0] == tokens[:first]:
            # The same law: rounding must not refuse the first draft.
            rows = np.concatenate([self._ahead[1][None], rows[1:]])
        self._tokens, self._scored = before, (list(tree.tokens), list(tree.parents))
        return Scores(rows.argmax(axis=1).tolist(), rows)

    def commit(self, path: Sequence[int]) -> Counters:
        """As `DecodingTarget.commit`."""
        tokens, parents = self._scored
        self._tokens += [tokens[node] for node in check_path(path, parents)]
        self._scored = [], []
        return {}

    def rollback(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        if not 0 <= length <= self.length:
            raise SessionError(f"A rollback to {length} is impossible: the session holds {self.length} tokens")
        del self._tokens[length:]
        self._scored = [], []
