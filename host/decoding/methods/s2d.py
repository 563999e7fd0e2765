"""S2D: one draft model of several sizes for any target (Kavehzadeh et al. 2024, arXiv 2407.01955).

The draft model has exits after some of its layers, all through one norm and output layer. A token is drafted by the first exit
whose largest probability is above a threshold, 0.5 at each but the last one; the layers behind an exit run only for a token that
does not leave there, and then for all earlier tokens that did, so that nothing is computed anew. The draft has `gamma` tokens,
which begin at 5 and change as in the assisted generation of transformers: 2 more after a draft that was accepted in full, 1 less
after any other. A draft that had no room for gamma tokens and was accepted leaves it as it is.

Drafts are the likeliest tokens at any temperature. The released verifier takes them with the ratio of the laws all the same, which
does not keep the target's law; here the target's own draw decides. The released tree is not here: its exit is common to all nodes
of a level, so a level that one node keeps from leaving costs all of them the deeper layers.

Cost: the layers of the draft model that its tokens ran through; trained for no target, see the part `s2d`.
"""

from collections.abc import Sequence
from typing import Any

from terntable.host.decoding.draft_model import small_model
from terntable.host.decoding.drafter import Budget, Drafter, Outcome
from terntable.host.decoding.ledger import Ledger
from terntable.host.decoding.method import Decoder, Method, Setup
from terntable.host.decoding.rules import Match
from terntable.host.decoding.tree import DraftTree
from terntable.host.errors import InputError
from terntable.host.sampling import GREEDY, Sampling

__all__ = ["METHOD", "SortedDrafter"]

#: Tokens that a draft has more after one that was accepted in full, and less after any other.
MORE, LESS = 2, 1


class SortedDrafter(Drafter):
    """Drafts from a model with exits.

    Parameters
    ----------
    model : a `SortedModel`.
    thresholds : of each exit; that of the last one does not count, since a token must leave there.
    gamma : tokens of the first draft.
    layer_weights : of the target, the unit of costs.

    Attributes
    ----------
    exits : how many tokens left at each exit.

    """

    def __init__(self, model: Any, thresholds: Sequence[float], *, gamma: int = 5, layer_weights: int = 1) -> None:
        if len(thresholds) != len(model.exits) or gamma < 1:
            raise InputError(f"A model of {len(model.exits)} exits needs as many thresholds, not {len(thresholds)}, and a gamma of "
                             f"at least 1, not {gamma}")
        self.model, self.thresholds, self.gamma = model, tuple(thresholds), gamma
        self.units = [weights / layer_weights for weights in model.weights]

    def start(self, tokens: Sequence[int], sampling: Sampling = GREEDY, ledger: Ledger | None = None) -> None:
        """Begin with empty caches; the prompt is read with the first draft."""
        super().start(tokens, sampling, ledger)
        self.model.rollback(0)
        self.exits = [0] * len(self.model.exits)
        self._count = self.gamma

    def propose(self, tokens: Sequence[int], budget: Budget) -> DraftTree:
        """A chain; each token runs the one before it."""
        tree, node, text = DraftTree(tokens[-1]), 0, list(tokens)
        for _ in range(min(self._count, budget.nodes, budget.depth, self.model.context - len(tokens) + 1)):
            token, probability = self._next(text[self.model.length:])
            node = tree.add(node, token, probability)
            text.append(token)
        return tree

    def observe(self, outcome: Outcome) -> None:
        """Forget the tokens that were not accepted, and set the size of the next draft."""
        accepted, drafted = len(outcome.path) - 1, len(outcome.tree) - 1
        self.model.rollback(min(self.model.length, outcome.length + accepted))
        if accepted < drafted:
            self._count = max(1, self._count - LESS)
        elif drafted == self._count:
            self._count += MORE

    def _next(self, tokens: Sequence[int]) -> tuple[int, float]:
        """The likeliest token after some more, and its probability, from the first exit that is sure of it."""
        self.model.run(tokens)
        for level, threshold in enumerate(self.thresholds):
            if level:
                self.model.deepen(level)
            self.ledger.draft(units=self.units[level], forwards=int(level == 0))
            probability, token = self.model.logits(level).double().softmax(dim=0).max(dim=0)
            if probability > threshold:
                break
        self.exits[level] += 1
        return int(token), float(probability)


def build(setup: Setup, *, draft: Any = "", exits: str = "", thresholds: str = "", gamma: int = 5) -> Decoder:
    """`draft` is a Hugging Face directory or a model of transformers, without it the part `s2d` of the target's model.

    `exits` and `thresholds` are numbers with commas. Without `exits` they are the part's, or after a half, three quarters and all
    of the layers.
    """
    from terntable.host.decoding.sorted_model import SortedModel

    model, recipe = small_model(METHOD.name, setup, draft, "s2d")
    layers = model.config.get_text_config().num_hidden_layers
    usual = sorted({-(-layers // 2), -(-3 * layers // 4), layers})
    places = [int(value) for value in _numbers("exits", exits)] or recipe.get("config", {}).get("exits") or usual
    sure = _numbers("thresholds", thresholds) or [0.5] * (len(places) - 1) + [0.0]
    return Decoder(SortedDrafter(SortedModel(model, places), sure, gamma=gamma, layer_weights=setup.target.layer_weights), Match())


def _numbers(option: str, text: str) -> list[float]:
    try:
        return [float(word) for word in text.split(",")] if text else []
    except ValueError as error:
        raise InputError(f"Option {option} of method {METHOD.name} must be numbers with commas, not {text!r}") from error


METHOD = Method(name="s2d", title="Sorted speculative decoding", paper="Kavehzadeh et al. 2024, arXiv 2407.01955", build=build,
                trained="s2d")
