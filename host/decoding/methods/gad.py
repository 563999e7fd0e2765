"""GAD, generalised aggressive decoding: a non-autoregressive model drafts k tokens at once (Ge et al. 2022, arXiv 2205.10350).

The drafter reads the last tokens and k masks; its likeliest token at each of them is the draft, never a draw. The target keeps what
it would have said itself, adds its own token, and the masks are set anew behind it. Above temperature 0 the target's token is drawn
as plain sampling draws it and kept as long as it is the draft's, which is exact for drafts that were chosen.

The paper translates with an encoder and a decoder that read the source; with one causal model the source is the text so far, of
which the drafter sees the last 48 tokens. k is 25, or what the target verifies in a pass. For acceptance among the best few tokens
see `terntable.host.decoding.methods.gad_plus`.

Cost: one forward of the drafter a round, whatever k is; it needs torch.
"""

from terntable.host.decoding.block_drafter import block_drafter
from terntable.host.decoding.method import Decoder, Method, Setup
from terntable.host.decoding.rules import Match

__all__ = ["METHOD"]


def build(setup: Setup, *, k: int = 25) -> Decoder:
    """With acceptance of the target's own token only, the paper's beta of 1."""
    return Decoder(block_drafter("gad", "gad", setup, k, drawn=False), Match())


METHOD = Method(name="gad", title="Generalised aggressive decoding", paper="Ge et al. 2022, arXiv 2205.10350", build=build,
                trained="gad")
