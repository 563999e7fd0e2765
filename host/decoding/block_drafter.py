"""Drafts a block of tokens in one forward of a model that guesses several at once."""

from collections.abc import Sequence

from terntable.host.decoding.drafter import Budget, Drafter
from terntable.host.decoding.marginals import Marginals, best_chain, draw_chain
from terntable.host.decoding.masked_part import masked_model
from terntable.host.decoding.method import Setup
from terntable.host.decoding.tree import DraftTree
from terntable.host.errors import InputError

__all__ = ["BlockDrafter", "block_drafter"]


class BlockDrafter(Drafter):
    """A chain of one token for each of a model's marginals.

    Parameters
    ----------
    units : cost of the model's forward, in layers of the target.
    k : most tokens of a block.
    drawn : whether tokens are draws from the marginals, with these as the tree's laws; else they are the likeliest ones.

    """

    def __init__(self, model: Marginals, units: float, k: int, *, drawn: bool) -> None:
        if k < 1:
            raise InputError(f"A block needs at least 1 token, not {k}")
        self.model, self.units, self.k, self.drawn = model, units, k, drawn

    def propose(self, tokens: Sequence[int], budget: Budget) -> DraftTree:
        """The block, as far as the budget goes."""
        count = min(self.k, budget.nodes, budget.depth)
        if count < 1:
            return DraftTree(tokens[-1])
        logits = self.model.marginals(tokens, count)
        self.ledger.draft(units=self.units)
        return draw_chain(tokens, logits, self.sampling) if self.drawn else best_chain(tokens, logits)


def block_drafter(method: str, part: str, setup: Setup, k: int, *, drawn: bool) -> BlockDrafter:
    """The drafter with the part that was trained for the model."""
    model = masked_model(method, part, setup)
    return BlockDrafter(model, model.weights / setup.target.layer_weights, k, drawn=drawn)
