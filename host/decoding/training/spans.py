"""What the masked drafters' parts share: text that is cut into a known window and a span, and the loss at the span's masks."""

from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from terntable.host.decoding.masked_drafter import MaskedModel
from terntable.host.decoding.training.teacher import Teacher
from terntable.host.decoding.training.trainer import Recipe
from terntable.host.decoding.two_stream import TwoStream

__all__ = ["at_masks", "cut", "token_vectors"]

M = TypeVar("M", MaskedModel, TwoStream)

#: Least tokens of a window.
LEAST = 16


def token_vectors(model: M, teacher: Teacher) -> M:
    """The model, with the target's vectors for its tokens where both have the same width."""
    vectors = teacher.model.get_input_embeddings().weight
    if vectors.shape[1] == model.embed.embedding_dim:
        with torch.no_grad():
            model.embed.weight[:model.vocab] = vectors.detach().to(model.embed.weight) / vectors.std() * vectors.shape[1] ** -0.5
    return model


def cut(recipe: Recipe, step: int, tokens: Tensor, random: torch.Generator, *, longest: int, window: int,
        length: int | None = None) -> tuple[Tensor, Tensor]:
    """Known tokens (batch, p) and the span (batch, k) after them, of one update; p is 16 to `window`, often all of it.

    The span has `length` tokens, or 1 to `longest` of them if None.
    """
    k = int(torch.randint(1, longest + 1, (1,), generator=random)) if length is None else length
    p = min(window, int(torch.randint(LEAST, 2 * window, (1,), generator=random)), recipe.length - k)
    rows = recipe.rows(step, tokens)[:, :p + k]
    return rows[:, :p], rows[:, p:]


def at_masks(model: MaskedModel, known: Tensor, span: Tensor, hidden: Tensor, weights: Tensor, *, total: float | None = None,
             smoothing: float = 0.0) -> Tensor:
    """Weighted cross-entropy of a span (B, k) at the places `hidden` (B, k), over `total`, or over the sum of weights if None."""
    logits = model.head(model(known, span, hidden)[hidden])
    values = F.cross_entropy(logits, span[hidden], reduction="none", label_smoothing=smoothing)
    weighed = weights[hidden]
    return (values * weighed).sum() / (weighed.sum().clamp(min=1e-9) if total is None else total)
