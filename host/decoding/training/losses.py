"""Terms of a part's loss; each is a mean over the places that have weight."""

import torch.nn.functional as F
from torch import Tensor

__all__ = ["cross_entropy", "kl", "smooth_l1"]


def _mean(values: Tensor, weights: Tensor | None) -> Tensor:
    if weights is None:
        return values.mean()
    weights = weights.to(values.dtype)
    return (values * weights).sum() / weights.sum().clamp(min=1e-9)


def cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor | None = None, *, smoothing: float = 0.0) -> Tensor:
    """Of logits (..., vocab) against token ids (...), with weights (...)."""
    values = F.cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none", label_smoothing=smoothing)
    return _mean(values.view(targets.shape), weights)


def kl(teacher: Tensor, student: Tensor, weights: Tensor | None = None) -> Tensor:
    """Of the law of the teacher's logits (..., vocab) from that of the student's, with weights (...)."""
    log_p = F.log_softmax(teacher, dim=-1)
    return _mean((log_p.exp() * (log_p - F.log_softmax(student, dim=-1))).sum(dim=-1), weights)


def smooth_l1(features: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Of features (..., width) against targets, a mean over the width, with weights (...)."""
    return _mean(F.smooth_l1_loss(features, targets, reduction="none").mean(dim=-1), weights)
