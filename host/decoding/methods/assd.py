"""ASSD: an any-order model drafts for itself and verifies itself (Guo and Ermon 2025, arXiv 2504.20456, algorithm 1).

In a round the model gives the laws q of the next k positions, none of which knows the others, and tokens are drawn from them; one
more call gives the laws p of the same positions, each given the drafts before it. From left to right draft i stays with probability
min(1, p_i / q_i); at the first that does not, a token is drawn from what p_i has more than q_i, and the round ends. The first one
always stays, since p_1 is q_1. A round for the last gap is one call.

The k-th draft is not drawn at all here: whether it stays or is drawn again, its law is p_k, which the second call gives anyway.
Tokens and calls of a round are those of the paper: 2 calls give 2 to k tokens, k = 2 saves nothing, and N - m gaps never take more
than N - m calls. The released code's slack in the acceptance, which is lossy, is left out, and so is its drafter of bigrams.

It needs attention by rank, which a causal model does not have: see `terntable.host.decoding.infill`.

Cost: 2 calls a round, each over the whole text, since a model without a causal order keeps no rows.
"""

from collections.abc import Sequence

from terntable.host.decoding.any_order import AnyOrderTarget
from terntable.host.decoding.capabilities import Capability
from terntable.host.decoding.drafter import Budget, Drafter
from terntable.host.decoding.marginals import draw_chain
from terntable.host.decoding.method import Decoder, Method, Setup
from terntable.host.decoding.rules import Ratio
from terntable.host.decoding.tree import DraftTree
from terntable.host.errors import InputError

__all__ = ["METHOD", "SelfDrafter"]


class SelfDrafter(Drafter):
    """Drafts from what the target says about several positions ahead.

    Parameters
    ----------
    k : most tokens of a round.

    """

    def __init__(self, target: AnyOrderTarget, k: int = 5) -> None:
        if k < 1:
            raise InputError(f"ASSD needs rounds of at least 1 token, not {k}")
        self.target, self.k = target, k

    def propose(self, tokens: Sequence[int], budget: Budget) -> DraftTree:
        """A chain of draws that do not know each other."""
        count = min(self.k - 1, budget.nodes, budget.depth)
        if count < 1:
            return DraftTree(tokens[-1])
        logits = self.target.ahead(tokens, count)
        self.ledger.draft(units=self.target.layers)
        return draw_chain(tokens, logits, self.sampling)


def build(setup: Setup, *, k: int = 5) -> Decoder:
    """`k` tokens a round at most."""
    if not isinstance(setup.target, AnyOrderTarget):
        raise InputError(f"Method assd runs on an any-order target, not on {setup.target.name}")
    return Decoder(SelfDrafter(setup.target, k), Ratio())


METHOD = Method(name="assd", title="Any-subset speculative decoding", paper="Guo and Ermon 2025, arXiv 2504.20456", build=build,
                needs=Capability.FULL_LAW | Capability.ORDER_MASK, guarantee="lossless: the joint law of one gap after another")
