"""Part `assd`: the any-order model of ASSD, trained on text (arXiv 2504.20456; the recipe is that of the released code).

The loss is the cross-entropy of all gaps under the rank mask: each given the known tokens and the gaps before it, so that one
forward learns the joint law. The rate of gaps goes from 0.15 to a range of 0.85 to 0.99 over the first half of the updates, and is
drawn in layers over the sequences of an update.

The paper begins with XLNet of 110 M weights; here the model is new but for the vectors of tokens, and sees the books that the
shipped model was trained on, in windows of 64 tokens. No teacher is needed, and what it wrote is not used.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from terntable.host.decoding.training.part import Job, Part
from terntable.host.decoding.training.spans import token_vectors
from terntable.host.decoding.training.teacher import Teacher, kjv_windows
from terntable.host.decoding.training.trainer import Recipe
from terntable.host.decoding.two_stream import TwoStream, rank_masks

__all__ = ["PART", "gap_rates", "gaps", "prepare", "rank_loss"]

#: Rate of gaps at first and at last, and the share of the updates that the way takes.
FIRST, LAST, WAY = 0.15, (0.85, 0.99), 0.5
#: Windows of text.
WINDOWS = 32768


def gap_rates(random: torch.Generator, step: int, steps: int, batch: int) -> Tensor:
    """Rates (batch,) of an update, one in each of as many layers of its range."""
    way = min(1.0, step / (WAY * steps))
    low, high = (FIRST + way * (last - FIRST) for last in LAST)
    return low + (high - low) * (torch.arange(batch) + torch.rand(1, generator=random)) / batch


def gaps(random: torch.Generator, rates: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Ranks (B, length) of positions, and how many are known (B,), 1 to length - 1 of them, at random places."""
    given = (length - (rates * length).round()).long().clamp(1, length - 1)
    places = torch.rand((len(rates), length), generator=random).argsort(dim=1).argsort(dim=1)
    hidden = (places >= given[:, None]).long()
    return torch.sort(hidden, dim=1, stable=True).indices.argsort(dim=1), given


def rank_loss(model: TwoStream, rows: Tensor, ranks: Tensor, given: Tensor) -> Tensor:
    """Mean cross-entropy of the gaps of rows (B, N)."""
    at = torch.arange(rows.shape[1])
    sees, query_sees = rank_masks(ranks, given)
    hidden = ranks >= given[:, None]
    return F.cross_entropy(model.head(model(rows, at, sees, at, query_sees)[hidden]), rows[hidden])


def prepare(teacher: Teacher, tokens: Tensor, recipe: Recipe) -> Job:
    """A fresh model."""
    torch.manual_seed(recipe.seed)
    config = {"vocab": teacher.model.config.vocab_size, "longest": recipe.length}
    model = token_vectors(TwoStream(**config), teacher)
    text = torch.from_numpy(kjv_windows(teacher.causal, WINDOWS, length=recipe.length, seed=recipe.seed))

    def loss(step: int) -> Tensor:
        random = recipe.generator(step)
        ranks, given = gaps(random, gap_rates(random, step, recipe.steps, recipe.batch), recipe.length)
        return rank_loss(model, recipe.rows(step, text), ranks, given)

    return Job(model, loss, config)


PART = Part("assd", Recipe(steps=800, batch=16, length=64, rate=2e-3, warmup=50, floor=0.05), prepare, answers=4096)
