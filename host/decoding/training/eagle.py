"""Part `eagle`: the layer that continues the target's last hidden states."""

from collections.abc import Callable

import torch
from torch import Tensor

from terntable.host.decoding.eagle_drafter import FusedLayer, fused_layer
from terntable.host.decoding.training.losses import kl, smooth_l1
from terntable.host.decoding.training.part import Job, Part
from terntable.host.decoding.training.states import StateWindows
from terntable.host.decoding.training.teacher import Teacher
from terntable.host.decoding.training.trainer import Recipe

__all__ = ["PART", "continuation_loss"]

#: Weights of the law and of the states (SpecVLM).
LAW, STATE = 0.1, 1.0


def continuation_loss(said: Tensor, states: Tensor, made: Tensor, head: Callable[[Tensor], Tensor],
                      weights: Tensor | None = None) -> Tensor:
    """How far states (B, L, width) that a drafter made are from the target's, and their laws from its logits (B, L, vocab).

    The distance of laws stands for their cross-entropy: it has the same gradients, and is 0 where they agree.
    """
    return LAW * kl(said, head(made), weights) + STATE * smooth_l1(made, states, weights)


def prepare(teacher: Teacher, tokens: Tensor, recipe: Recipe) -> Job:
    """A fresh layer that is drawn to the teacher's next state at each token of a window."""
    torch.manual_seed(recipe.seed)
    layer: FusedLayer = fused_layer(teacher.model.config.hidden_size)
    embed, head = teacher.model.get_input_embeddings(), teacher.model.get_output_embeddings()

    windows = StateWindows(teacher, tokens, recipe)

    def loss(step: int) -> Tensor:
        rows, states = windows(step)
        made, _ = layer(layer.fuse(states[:, :-1], embed(rows[:, 1:])), torch.arange(rows.shape[1] - 1))
        return continuation_loss(head(states[:, 1:]), states[:, 1:], made, head)

    return Job(layer, loss, {"width": layer.join.out_features, "heads": layer.layer.heads})


PART = Part("eagle", Recipe(steps=500, batch=16, length=96, rate=2e-3, warmup=30, floor=0.05), prepare, answers=4096)
