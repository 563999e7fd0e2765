"""DEER: a masked diffusion model drafts a block in one step, the target verifies it (Cheng et al. 2025, arXiv 2512.15176).

The drafter reads the last tokens, k masks and the SEP that it was trained with, and gives the laws q_1 to q_k of the block in one
forward; tokens are drawn from them, each without knowing the others, or are the likeliest ones at temperature 0. From left to right
token i stays with probability min(1, p_i / q_i); at the first that does not, one is drawn from what p_i has more than q_i, and the
round ends there: the paper's algorithm as printed goes on, for which the target's law behind the corrected token would be needed.
q is taken at the temperature, top-k and top-p that p is. A mask has no logit, so it is never a draft.

Blocks are of up to 32 tokens, the largest of the paper, or of what the target verifies in a pass. The paper's drafter is a
pretrained model of 470 M weights; ours is `terntable.host.decoding.masked_drafter`, trained from nothing.

Cost: one forward of the drafter a round, whatever k is; it needs torch.
"""

from terntable.host.decoding.block_drafter import block_drafter
from terntable.host.decoding.method import Decoder, Method, Setup
from terntable.host.decoding.rules import Ratio

__all__ = ["METHOD"]


def build(setup: Setup, *, k: int = 32) -> Decoder:
    """With the part that was trained for the model."""
    return Decoder(block_drafter("deer", "deer", setup, k, drawn=True), Ratio())


METHOD = Method(name="deer", title="Draft with diffusion, verify with autoregressive models",
                paper="Cheng et al. 2025, arXiv 2512.15176", build=build, trained="deer")
