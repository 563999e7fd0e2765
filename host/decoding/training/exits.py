"""Model `kjv-exits`: the ternary model trained further so that it decodes from each of its layers, as LayerSkip trains.

Elhoushi et al. 2024, arXiv 2404.16710: one norm and output layer serve all exits, and the loss of an exit is cross-entropy with
the text. The exits take turns, a third of them in each update; the last layer is always there and counts as much as all others. No
layer is dropped out: the model is small, and has been trained already. The text is that of the model's own training; what the
teacher wrote is not used. What comes out is a checkpoint like any other, which the accelerator runs.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import terntable.models
from terntable.host.decoding.training.losses import cross_entropy
from terntable.host.decoding.training.part import Job, Part
from terntable.host.decoding.training.teacher import Teacher, kjv_windows
from terntable.host.decoding.training.trainer import Recipe
from terntable.quant.checksums import write_checksums
from terntable.quant.huggingface import read_checkpoint

__all__ = ["PART", "exit_loss"]

#: Updates in which each exit has its turn once.
TURNS = 3


def exit_loss(network: Any, tokens: Tensor, step: int) -> Tensor:
    """Half of the last layer's loss and half of the mean over the exits whose turn it is, for tokens (B, L)."""
    states = network.states(tokens[:, :-1])
    own = [layer for layer in range(1, len(states)) if layer % TURNS == step % TURNS]
    losses = [cross_entropy(network.head(states[layer - 1]), tokens[:, 1:]) for layer in [*own, len(states)]]
    return (torch.stack(losses[:-1]).mean() + losses[-1]) / 2 if own else losses[-1]


def prepare(teacher: Teacher, tokens: Tensor, recipe: Recipe) -> Job:
    """The teacher's own weights, to be trained further."""
    from terntable.models.kjv_recipe.export import export
    from terntable.models.kjv_recipe.resume import resumed_network

    source = Path(teacher.model.config.name_or_path)
    network = resumed_network(read_checkpoint(source))
    windows = torch.from_numpy(kjv_windows(teacher.causal, recipe.steps * recipe.batch, length=recipe.length + 1, seed=recipe.seed))

    def loss(step: int) -> Tensor:
        return exit_loss(network, windows[step * recipe.batch:(step + 1) * recipe.batch], step)

    def keep(folder: Path) -> Path:
        out = folder / f"{teacher.causal.name}-{PART.name}"
        export(network=network.eval(), tokenizer=source / "tokenizer.json", directory=out)
        (out / "recipe.json").write_text(json.dumps({"part": PART.name, "model": teacher.causal.name, "recipe": asdict(recipe)},
                                                    indent=2) + "\n")
        write_checksums(out)
        return out

    return Job(network, loss, {}, keep=keep)


PART = Part("exits", Recipe(steps=2500, batch=8, length=64, rate=1e-3, warmup=30, floor=0.02), prepare, answers=64,
            home=Path(terntable.models.__path__[0]))
