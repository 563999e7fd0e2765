"""Probe rows in training: a set of them hangs on each of some tokens of a sequence, as a drafter's probes hang on a node.

Rows of a set are ordered by step first: row ``(j - 1) * anchors + a`` is step j, of 1 to `steps`, behind anchor a. It stands j
positions behind its anchor, sees the tokens up to the anchor and the steps of its own set up to itself, and guesses the token j + 1
positions behind the anchor. No token sees a probe, so the tokens can be run before, without gradients.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from terntable.host.decoding.training.trainer import Recipe

__all__ = ["accuracies", "choose_anchors", "probe_mask", "probe_positions", "read_tokens", "said_later"]


def choose_anchors(recipe: Recipe, step: int, batch: int, count: int, first: int, end: int) -> Tensor:
    """Places (batch, count) of an update, distinct and in order, from `first` up to before `end`."""
    order = torch.rand(batch, end - first, generator=recipe.generator(step, 14)).argsort(dim=-1)
    return first + order[:, :count].sort(dim=-1).values


def read_tokens(model: Any, tokens: Tensor, **given: Any) -> tuple[Any, Any]:
    """Run tokens (B, L) without gradients: the model's output, and a cache that holds them."""
    cache = DynamicCache(config=model.config)
    with torch.no_grad(), torch.compiler.set_stance("force_eager"):
        return model(input_ids=tokens, past_key_values=cache, use_cache=True, **given), cache


def probe_positions(anchors: Tensor, steps: int) -> Tensor:
    """Positions (B, steps * anchors) of the rows."""
    return (anchors[:, None] + torch.arange(1, steps + 1)[:, None]).flatten(1)


def probe_mask(anchors: Tensor, steps: int, length: int, dtype: torch.dtype) -> Tensor:
    """What is added to attention scores, (B, 1, rows, length + rows), of the rows against `length` tokens and themselves."""
    batch, count = anchors.shape
    tokens = torch.arange(length) <= anchors[..., None]
    step, anchor = torch.arange(steps).repeat_interleave(count), torch.arange(count).repeat(steps)
    own = (anchor[:, None] == anchor) & (step[:, None] >= step)
    sees = torch.cat([tokens.repeat(1, steps, 1), own.expand(batch, -1, -1)], dim=-1)
    return torch.zeros(sees.shape, dtype=dtype).masked_fill_(~sees, torch.finfo(dtype).min)[:, None]


def said_later(logits: Tensor, anchors: Tensor, step: int) -> Tensor:
    """Logits (B, anchors, vocab) that the target, (B, L, vocab), has where a step's guess is about."""
    rows = torch.arange(len(logits))[:, None]
    return logits[rows, anchors + step]


def accuracies(logits: Tensor, tokens: Tensor, anchors: Tensor, ranks: int) -> Tensor:
    """How many guesses (steps, ranks) of each rank were right, from logits (B, steps, anchors, vocab) and the text (B, L)."""
    best = logits.topk(ranks, dim=-1).indices
    rows = torch.arange(len(tokens))[:, None]
    right = [(best[:, step] == tokens[rows, anchors + step + 2][..., None]).sum(dim=(0, 1)) for step in range(best.shape[1])]
    return torch.stack(right)
