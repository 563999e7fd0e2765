"""The target's last hidden states of a whole text, worked out once: parts that read only these train at a third of the time."""

import hashlib

import numpy as np
import torch
from torch import Tensor

from terntable.host.decoding.training.teacher import Teacher, keep_array
from terntable.host.decoding.training.trainer import Recipe
from terntable.host.models import cache_folder

__all__ = ["StateWindows", "last_states"]

#: Sequences of a forward, and of a kept file.
BATCH, FILE = 32, 256


def last_states(teacher: Teacher, tokens: Tensor) -> Tensor:
    """States (n, length, width) that enter the output layer, of tokens (n, length); kept in half precision in the cache folder."""
    done = []
    for rows in tokens.split(FILE):
        key = hashlib.sha256(rows.numpy().tobytes() + f"{teacher.causal.name} {rows.shape}".encode()).hexdigest()[:16]
        file = cache_folder() / f"states-{teacher.causal.name}-{key}.npy"
        if not file.is_file():
            states = torch.cat([teacher(some).hidden[-1] for some in rows.split(BATCH)])
            keep_array(file, states.half().numpy())
        done.append(torch.from_numpy(np.load(file)))
    return torch.cat(done).to(teacher.model.dtype)


class StateWindows:
    """Windows of texts with the target's states, which see the whole text before them.

    Parameters
    ----------
    texts : number of sequences that are used; memory is this times their length and width.

    """

    def __init__(self, teacher: Teacher, tokens: Tensor, recipe: Recipe, *, texts: int = 1024) -> None:
        self._recipe, self._tokens = recipe, tokens[:texts]
        self._states = last_states(teacher, self._tokens)
        self._places = torch.arange(self._tokens.numel()).view_as(self._tokens)

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Tokens (batch, length) of an update, and their states (batch, length, width)."""
        places = self._recipe.rows(step, self._places)
        return self._tokens.flatten()[places], self._states.flatten(0, 1)[places]
