"""GAD, generalised aggressive decoding: a non-autoregressive model drafts k tokens at once (Ge et al. 2022, arXiv 2205.10350).

The drafter reads the last tokens and k masks; its likeliest token at each of them is the draft, never a draw. The target keeps what
it would have said itself, adds its own token, and the masks are set anew behind it. Above temperature 0 the target's token is drawn
as plain sampling draws it and kept as long as it is the draft's, which is exact for drafts that were chosen.

The paper translates with an encoder and a decoder that read the source; with one causal model the source is the text so far, of
which the drafter sees the last 48 tokens. k is 25, or what the target verifies in a pass. For acceptance among the best few tokens
see `terntable.host.decoding.methods.gad_plus`.

Cost: one forward of the drafter a round, whatever k is; it needs torch.
"""

from collections.abc import Sequence

from terntable.host.decoding.drafter import Budget, Drafter
from terntable.host.decoding.marginals import Marginals, best_chain
from terntable.host.decoding.masked_part import masked_model
from terntable.host.decoding.method import Decoder, Method, Setup
from terntable.host.decoding.rules import Match
from terntable.host.decoding.tree import DraftTree
from terntable.host.errors import InputError

__all__ = ["METHOD", "MaskPredict", "mask_predict"]


class MaskPredict(Drafter):
    """Drafts the likeliest token at each of k masks.

    Parameters
    ----------
    units : cost of the model's forward, in layers of the target.
    k : most tokens of a draft.

    """

    def __init__(self, model: Marginals, units: float, k: int = 25) -> None:
        if k < 1:
            raise InputError(f"GAD needs drafts of at least 1 token, not {k}")
        self.model, self.units, self.k = model, units, k

    def propose(self, tokens: Sequence[int], budget: Budget) -> DraftTree:
        """A chain of the likeliest tokens."""
        count = min(self.k, budget.nodes, budget.depth)
        if count < 1:
            return DraftTree(tokens[-1])
        logits = self.model.marginals(tokens, count)
        self.ledger.draft(units=self.units)
        return best_chain(tokens, logits)


def mask_predict(method: str, setup: Setup, k: int) -> MaskPredict:
    """The drafter with the part that was trained for the model."""
    model = masked_model(method, "gad", setup)
    return MaskPredict(model, model.weights / setup.target.layer_weights, k)


def build(setup: Setup, *, k: int = 25) -> Decoder:
    """With acceptance of the target's own token only, the paper's beta of 1."""
    return Decoder(mask_predict("gad", setup, k), Match())


METHOD = Method(name="gad", title="Generalised aggressive decoding", paper="Ge et al. 2022, arXiv 2205.10350", build=build,
                trained="gad")
