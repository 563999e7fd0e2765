"""Part `deer`: the masked drafter of DEER, in two stages over what the target wrote (arXiv 2512.15176, section 3).

Stage I: the answer is cut at a random place and ended by SEP; each token of its last span is masked with probability t, and the
loss is the cross-entropy at the masks, times 1/t. Stage II: the last R tokens are masked, R uniform, and the i-th of them, 1 right
behind the known text, weighs alpha^(R - i).

The paper begins with a pretrained model of 470 M weights, R up to 96, learning rates of 1e-4 and 5e-5. Here the model is new but
for the target's vectors of tokens, spans are of up to 32 tokens, the block of the paper's decoding, and one falling learning rate
serves both stages. Spans of one update are of equal length; t is drawn in layers over its sequences, at least 0.05, so that a
single mask cannot outweigh a batch.
"""

import torch
from torch import Tensor

from terntable.host.decoding.masked_drafter import BLOCK, MaskedModel
from terntable.host.decoding.training.part import Job, Part
from terntable.host.decoding.training.spans import at_masks, cut, token_vectors
from terntable.host.decoding.training.teacher import Teacher
from terntable.host.decoding.training.trainer import Recipe

__all__ = ["ALPHA", "FIRST_STAGE", "LEAST", "PART", "boundary_weights", "mask_ratios", "prepare"]

#: How much a token of stage II weighs above the one after it.
ALPHA = 1.01
#: Share of the updates that stage I takes.
FIRST_STAGE = 0.5
#: Least mask ratio of stage I.
LEAST = 0.05


def mask_ratios(random: torch.Generator, batch: int) -> Tensor:
    """Mask ratios t (batch,) of 0.05 to 1, one in each of as many layers of equal width."""
    places = (torch.arange(batch) + torch.rand(1, generator=random)) / batch
    return LEAST + (1 - LEAST) * places


def boundary_weights(count: int, alpha: float = ALPHA) -> Tensor:
    """Weights (count,) of the last `count` tokens, the one next to the known text first."""
    return alpha ** torch.arange(count - 1, -1, -1, dtype=torch.float32)


def prepare(teacher: Teacher, tokens: Tensor, recipe: Recipe, *, first_stage: float = FIRST_STAGE) -> Job:
    """A fresh model; `first_stage` 1 leaves stage II out."""
    torch.manual_seed(recipe.seed)
    config = {"vocab": teacher.model.config.vocab_size, "ends": True}
    model = token_vectors(MaskedModel(**config), teacher)

    def loss(step: int) -> Tensor:
        random = recipe.generator(step)
        known, span = cut(recipe, step, tokens, random, longest=BLOCK, window=model.window)
        if step < round(first_stage * recipe.steps):
            ratios = mask_ratios(random, len(span))[:, None]
            hidden = torch.rand(span.shape, generator=random) < ratios
            weights = (hidden / ratios).float()
            return at_masks(model, known, span, hidden, weights, total=span.numel())
        weights = boundary_weights(span.shape[1]).expand(span.shape)
        return at_masks(model, known, span, torch.ones_like(span, dtype=torch.bool), weights)

    return Job(model, loss, config)


PART = Part("deer", Recipe(steps=900, batch=16, length=96, rate=2e-3, warmup=50, floor=0.05), prepare, answers=4096)
