"""Part `gad`: the drafter of generalised aggressive decoding, trained by glancing (Ge et al. 2022, arXiv 2205.10350).

A random part of what the target wrote is known, the 25 tokens after it are masked. A first forward tells which of them the model
gets wrong; a share of these, falling from 0.5 to 0.3 over the training, is revealed to it, and the loss is the cross-entropy, with
label smoothing of 0.1, at the masks that are left.

The paper has an encoder that begins as the target's and a decoder; with one causal target there is one text, so the model is the
bidirectional one of DEER without its SEP, and begins with the target's vectors of tokens. The target stays as it is.
"""

import torch
from torch import Tensor

from terntable.host.decoding.masked_drafter import MaskedModel
from terntable.host.decoding.training.part import Job, Part
from terntable.host.decoding.training.spans import at_masks, cut, token_vectors
from terntable.host.decoding.training.teacher import Teacher
from terntable.host.decoding.training.trainer import Recipe

__all__ = ["DRAFT", "PART", "REVEAL", "SMOOTHING", "glance", "prepare", "reveal_share"]

#: Tokens of a draft, the share of wrong ones that is revealed at first and at last, and the label smoothing.
DRAFT, REVEAL, SMOOTHING = 25, (0.5, 0.3), 0.1


def reveal_share(step: int, steps: int) -> float:
    """Share of the wrong masks that are revealed in an update."""
    return REVEAL[0] + (REVEAL[1] - REVEAL[0]) * step / max(1, steps - 1)


def glance(wrong: Tensor, share: float, random: torch.Generator) -> Tensor:
    """Which places (B, k) stay masked, when a share of the wrong ones (B, k) of each row, rounded down, is revealed at random."""
    order = torch.rand(wrong.shape, generator=random).masked_fill(~wrong, 2.0).argsort(dim=1).argsort(dim=1)
    return order >= (wrong.sum(dim=1, keepdim=True) * share).long()


def prepare(teacher: Teacher, tokens: Tensor, recipe: Recipe) -> Job:
    """A fresh model."""
    torch.manual_seed(recipe.seed)
    config = {"vocab": teacher.model.config.vocab_size, "ends": False}
    model = token_vectors(MaskedModel(**config), teacher)

    def loss(step: int) -> Tensor:
        random = recipe.generator(step)
        known, span = cut(recipe, step, tokens, random, longest=DRAFT, window=model.window, length=DRAFT)
        everywhere = torch.ones_like(span, dtype=torch.bool)
        with torch.no_grad():
            wrong = model.head(model(known, span, everywhere)).argmax(dim=-1) != span
        hidden = glance(wrong, reveal_share(step, recipe.steps), random)
        return at_masks(model, known, span, hidden, hidden.float(), smoothing=SMOOTHING)

    return Job(model, loss, config)


PART = Part("gad", Recipe(steps=500, batch=16, length=96, rate=2e-3, warmup=50, floor=0.05), prepare, answers=4096)
