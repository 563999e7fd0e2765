"""Dynamic exit layers: the model drafts with its own first layers, and how many that are follows the text (DEL).

Paper: Entezari Zarch et al. 2025, arXiv 2504.05598, on models trained with early exits (LayerSkip, arXiv 2404.16710). Tokens are
drafted greedily behind layer E, until one is less sure than a threshold; its row has then run through the first E layers, and
verification goes on from there. What every layer would have said at the rows of a pass, its shadow tokens, is compared with what
the model said, up to the first wrong draft; the layer of most expected tokens for the layers it runs drafts next. In the first
round one token is drafted, and the last 32 places of the prompt are compared.

Decided here: a token below the threshold is the last one of its draft, not left out; where the best expected length is 0, nothing
is drafted in that round, and shadow tokens alone decide when to try again. Drafts are chosen, not drawn, also above temperature 0,
where the token that plain sampling draws is looked for among them.

Cost of a round of d drafts: L + d E layers, as in the paper. Each draft also reads the output layer, and so do the shadow tokens
once a round, which the paper does not count; the ledger does. `exit` fixes E and the length, which is LayerSkip's own decoding.
"""

from collections.abc import Sequence
from typing import Any

from terntable.host.decoding.capabilities import Capability
from terntable.host.decoding.drafter import Budget, Drafter, Outcome
from terntable.host.decoding.exit_statistics import ExitStatistics
from terntable.host.decoding.ledger import Ledger
from terntable.host.decoding.method import Decoder, Method, Setup
from terntable.host.decoding.target import LAST
from terntable.host.decoding.tree import DraftTree
from terntable.host.errors import InputError
from terntable.host.sampling import GREEDY, Sampling

__all__ = ["METHOD", "ExitDrafter"]

#: Places of the prompt that are compared in the first round.
PROMPT_PLACES = 32


class ExitDrafter(Drafter):
    """Drafts with the target's first layers.

    Parameters
    ----------
    target : a `LayeredTarget` or an `AcceleratorTarget`.
    exit_layer : fixed; chosen round by round if None.
    length : most tokens of a draft.
    decay : of the statistics.
    stops : whether a draft ends at a token that is not sure enough.

    Attributes
    ----------
    statistics : of the layers.
    exit : layers of the next draft, 0 for none.

    """

    def __init__(self, target: Any, *, exit_layer: int | None = None, length: int = 18, decay: float = 0.95,
                 stops: bool = True) -> None:
        self.target, self.length, self.decay, self.stops, self._fixed = target, length, decay, stops, exit_layer
        # Candidates' shadow tokens need their states; a fixed layer needs no statistics.
        self.hidden = () if exit_layer else (*range(1, target.layers), LAST)

    def start(self, tokens: Sequence[int], sampling: Sampling = GREEDY, ledger: Ledger | None = None) -> None:
        """Nothing is known of the layers yet."""
        super().start(tokens, sampling, ledger)
        self.statistics = ExitStatistics(self.target.layers, range(1, self.target.layers), decay=self.decay, most=self.length)
        self.exit = self._fixed or 1
        self._first = True
        self._head = self.target.vocab * self.target.width / self.target.layer_weights

    def propose(self, tokens: Sequence[int], budget: Budget) -> DraftTree:
        """A chain of the best tokens behind the exit."""
        tree, node = DraftTree(tokens[-1]), 0
        most = min(budget.nodes, budget.depth, 1 if self._first and not self._fixed else self.length)
        if not self.exit or most < 1:
            return tree
        least = 0.0 if self._first or self._fixed or not self.stops else self.statistics.threshold(self.exit)
        rows = list(tokens[self.target.length:])
        for _ in range(most):
            law = self.target.exit_law(rows, self.exit).softmax(dim=-1)
            sure, token = law.max(dim=-1)
            # The row of the last draft runs through these layers in verification, and is part of the forward that is counted there.
            self.ledger.draft(units=self._head + self.exit)
            node = tree.add(node, int(token), self.statistics.alpha(self.exit))
            if float(sure) < least:
                break
            rows = [int(token)]
        return tree

    def observe(self, outcome: Outcome) -> None:
        """Compare the shadow tokens of the rows that count, and choose the next exit."""
        import torch

        if self._fixed:
            return
        first = outcome.prefix - min(outcome.prefix, PROMPT_PLACES) if self._first else outcome.prefix
        # Nodes of a chain are in the order of its path, whose last node is the one that no draft was right behind.
        rows = slice(first, outcome.prefix + len(outcome.path))
        self._first = False
        states = torch.stack([outcome.scores.hidden[layer][rows] for layer in range(1, self.target.layers)])
        laws = self.target.exit_logits(states).softmax(dim=-1)
        self.ledger.draft(units=self._head, forwards=0)
        sure, shadow = laws.max(dim=-1)
        told = outcome.scores.hidden[LAST][first:outcome.prefix]
        said = [*(self.target.head(told).argmax(dim=-1).tolist() if len(told) else ()), *outcome.tokens]
        self.statistics.add((shadow == torch.tensor(said, device=shadow.device)).cpu().numpy(), sure.cpu().numpy())
        layer, drafted = self.statistics.choose()
        self.exit = layer if drafted else 0


def build(setup: Setup, *, exit: int | None = None, length: int = 18, decay: float = 0.95, stops: bool = True) -> Decoder:
    """`exit` fixes the layer, and then `length` tokens are drafted each time; `stops` is whether unsure tokens end a draft."""
    layers = setup.target.layers
    if exit is not None and not 1 <= exit < layers:
        raise InputError(f"exit must be 1 to {layers - 1}, the layers before the last, not {exit}")
    if length < 1 or not 0 < decay <= 1:
        raise InputError(f"length must be at least 1 and decay above 0 and at most 1, not {length} and {decay}")
    return Decoder(ExitDrafter(setup.target, exit_layer=exit, length=length, decay=decay, stops=stops))


METHOD = Method(name="del", title="Dynamic exit layers", paper="Entezari Zarch et al. 2025, arXiv 2504.05598", build=build,
                needs=Capability.CHAIN | Capability.EARLY_EXIT)
