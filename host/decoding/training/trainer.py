"""The one trainer of parts: repeatable on one machine, can be stopped and goes on where it was."""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Recipe", "train"]

#: Steps between two saves.
SAVE_EVERY = 50


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Numbers of a training run; every batch depends on the seed and the step alone.

    Attributes
    ----------
    steps, batch, length : updates, sequences of each, and tokens of a sequence.
    rate, warmup, floor : the highest learning rate, updates until it is reached, and the share of it at the end of a cosine.
    betas, decay, clip : of AdamW, and the largest norm of a gradient; 0 is no limit.
    seed : of initial values and batches.
    threads : of torch; results are the same bits for the same number.

    """

    steps: int
    batch: int = 16
    length: int = 128
    rate: float = 1e-3
    warmup: int = 0
    floor: float = 0.0
    betas: tuple[float, float] = (0.9, 0.95)
    decay: float = 0.0
    clip: float = 1.0
    seed: int = 1
    threads: int = 1

    def at(self, step: int) -> float:
        """Learning rate of an update."""
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        share = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.rate * (self.floor + (1 - self.floor) * (1 + math.cos(math.pi * share)) / 2)

    def generator(self, step: int, lane: int = 0) -> torch.Generator:
        """Random numbers of an update; `lane` tells several uses apart."""
        return torch.Generator().manual_seed((self.seed * 1_000_003 + step) * 16 + lane)

    def rows(self, step: int, tokens: Tensor) -> Tensor:
        """Sequences (batch, length) of an update, from (n, at least length) tokens; windows begin anywhere."""
        random = self.generator(step, 15)
        row = torch.randint(len(tokens), (self.batch, 1), generator=random)
        start = torch.randint(tokens.shape[1] - self.length + 1, (self.batch, 1), generator=random)
        return tokens[row, start + torch.arange(self.length)]


def train(part: nn.Module, loss: Callable[[int], Tensor], recipe: Recipe, *, folder: Path, name: str, stop: int | None = None,
          progress: Callable[[str], None] | None = None) -> list[float]:
    """Train the parameters of a part that want gradients; the losses of all updates.

    Parameters
    ----------
    loss : gives the loss (scalar) of an update by its number, and must depend on nothing else that changes.
    folder : where the state is kept, so that a call after an interruption goes on.
    stop : updates after which this call ends, to be continued by another one.

    """
    torch.set_num_threads(recipe.threads)
    wanted = [parameter for parameter in part.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(wanted, lr=recipe.rate, betas=recipe.betas, weight_decay=recipe.decay)
    sizes = [list(parameter.shape) for parameter in wanted]
    key = hashlib.sha256(json.dumps([name, asdict(recipe), sizes]).encode()).hexdigest()[:12]
    file = folder / f"training-{name}-{key}.pt"
    losses: list[float] = []
    if file.is_file():
        state: dict[str, Any] = torch.load(file, weights_only=True)
        for parameter, value in zip(wanted, state["part"], strict=True):
            parameter.data.copy_(value)
        optimiser.load_state_dict(state["optimiser"])
        losses = state["losses"]
    part.train()
    for step in range(len(losses), recipe.steps if stop is None else min(stop, recipe.steps)):
        for group in optimiser.param_groups:
            group["lr"] = recipe.at(step)
        optimiser.zero_grad(set_to_none=True)
        value = loss(step)
        value.backward()
        if recipe.clip:
            nn.utils.clip_grad_norm_(wanted, recipe.clip)
        optimiser.step()
        losses.append(float(value.detach()))
        if (step + 1) % SAVE_EVERY == 0 or step + 1 == recipe.steps:
            _save(file, {"part": [parameter.detach() for parameter in wanted], "optimiser": optimiser.state_dict(),
                         "losses": losses})
            if progress is not None:
                recent = losses[-SAVE_EVERY:]
                progress(f"{name}: update {step + 1} of {recipe.steps}, loss {sum(recent) / len(recent):.4f}")
    part.eval()
    return losses


def _save(file: Path, state: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(file)
