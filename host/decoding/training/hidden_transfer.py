"""Part `hidden-transfer`: linear maps that turn a token's state between layers into pseudo states of the tokens after the next.

Wu et al. 2024: the model is frozen, and the law behind pseudo state i is drawn to the model's own law i + 1 tokens on. All maps
are trained together here, with weight 0.8^(i - 1), as those of the prompt vectors; a map that is trained alone sees the pseudo
states of those before it all the same. The maps begin as the identity, which is the token's own state at a later position. Kept
with them: how often the guess of each rank was right.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from terntable.host.decoding.layered import run_layers
from terntable.host.decoding.sparse_tree import RANKS
from terntable.host.decoding.training.losses import kl
from terntable.host.decoding.training.part import Job, Part
from terntable.host.decoding.training.probes import (
    accuracies,
    choose_anchors,
    probe_mask,
    probe_positions,
    read_tokens,
    said_later,
)
from terntable.host.decoding.training.teacher import PROMPT, Teacher
from terntable.host.decoding.training.trainer import Recipe

__all__ = ["PART", "Transfers", "measure", "prepare_at", "transfer_logits"]

#: Pseudo states, and what the loss of one weighs against the one before.
STEPS, DECAY = 3, 0.8
#: Tokens of a sequence that pseudo states hang on, and sequences that the accuracies are measured on.
ANCHORS, MEASURED = 32, 64


class Transfers(nn.Module):
    """The part.

    Attributes
    ----------
    maps : (steps, width, width).
    accuracy : (steps, ranks), probability that the guess of a rank is right.

    """

    def __init__(self, steps: int, width: int) -> None:
        super().__init__()
        self.maps = nn.Parameter(torch.eye(width).repeat(steps, 1, 1))
        self.accuracy: Tensor
        self.register_buffer("accuracy", torch.zeros(steps, RANKS))


def transfer_logits(model: Any, cache: Any, hidden: Sequence[Tensor], maps: Tensor, layers: Sequence[int],
                    anchors: Tensor) -> Tensor:
    """What a model says behind pseudo states: (B, steps, n, vocab).

    Parameters
    ----------
    cache : holds the tokens.
    hidden : their states (B, L, width) after 0 layers, 1 and so on.
    maps : (steps, width, width).
    layers : that the pseudo state of each step enters after, not all of the model's; they do not decrease.
    anchors : tokens (B, n) that they hang on.

    """
    (batch, count), length, steps, last = anchors.shape, hidden[0].shape[1], len(maps), model.config.num_hidden_layers
    if list(layers) != sorted(layers) or not 0 <= layers[0] <= layers[-1] < last:
        raise ValueError(f"Pseudo states must enter in the order of their steps, before layer {last}, not after {list(layers)}")
    rows = torch.arange(batch)[:, None]
    positions, mask = probe_positions(anchors, steps), probe_mask(anchors, steps, length, hidden[0].dtype)
    states = hidden[0][:, :0]
    with torch.compiler.set_stance("force_eager"):
        for index in range(layers[0], last):
            entering = [hidden[index][rows, anchors] @ maps[step].T for step, layer in enumerate(layers) if layer == index]
            states = torch.cat([states, *entering], dim=1)
            here = states.shape[1]
            states = run_layers(model, states, [index], positions[:, :here], mask[:, :, :here, :length + here], cache)
        logits = model.lm_head(model.model.norm(states))
    return logits.view(batch, steps, count, -1)


def measure(model: Any, maps: Tensor, layers: Sequence[int], tokens: Tensor, ranks: int = RANKS) -> Tensor:
    """How often guesses (steps, ranks) are right, over all places of tokens (n, length) behind the prompt."""
    steps, length = len(maps), tokens.shape[1]
    places = torch.arange(PROMPT - 1, length - steps - 1)
    right = torch.zeros(steps, ranks, dtype=torch.int64)
    for rows in tokens.split(8):
        anchors = places.expand(len(rows), -1)
        said, cache = read_tokens(model, rows, output_hidden_states=True, logits_to_keep=1)
        with torch.no_grad():
            right += accuracies(transfer_logits(model, cache, said.hidden_states, maps, layers, anchors), rows, anchors, ranks)
    return right / (len(tokens) * len(places))


def prepare_at(teacher: Teacher, tokens: Tensor, recipe: Recipe, layers: Sequence[int]) -> Job:
    """Fresh maps at the layers of the steps, whose laws are drawn to the teacher's."""
    part = Transfers(len(layers), teacher.model.config.hidden_size)

    def loss(step: int) -> Tensor:
        rows = recipe.rows(step, tokens)
        anchors = choose_anchors(recipe, step, len(rows), ANCHORS, PROMPT - 1, recipe.length - len(layers))
        said, cache = read_tokens(teacher.model, rows, output_hidden_states=True)
        logits = transfer_logits(teacher.model, cache, said.hidden_states, part.maps, layers, anchors)
        terms = [DECAY**(i - 1) * kl(said_later(said.logits, anchors, i), logits[:, i - 1]) for i in range(1, len(layers) + 1)]
        return torch.stack(terms).sum() / len(layers)

    def finish() -> None:
        part.accuracy.copy_(measure(teacher.model, part.maps.detach(), layers, tokens[:MEASURED]))

    return Job(part, loss, {"layers": list(layers), "ranks": RANKS}, finish=finish)


def prepare(teacher: Teacher, tokens: Tensor, recipe: Recipe) -> Job:
    """All steps enter where the last third of the layers begins."""
    return prepare_at(teacher, tokens, recipe, [2 * teacher.model.config.num_hidden_layers // 3] * STEPS)


PART = Part("hidden-transfer", Recipe(steps=1000, batch=2, length=128, rate=2e-3, warmup=10), prepare, answers=4096)
