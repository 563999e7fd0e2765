"""What the training command needs to know of a part."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from terntable.host.decoding.training.teacher import Teacher
from terntable.host.decoding.training.trainer import Recipe

__all__ = ["Job", "Part"]


@dataclass(frozen=True, eq=False)
class Job:
    """A part about to be trained.

    Attributes
    ----------
    module : its parameters that want gradients are trained, and its state is what is kept, without those of `frozen`.
    loss : of an update by its number.
    config : what is needed, beside the tensors, to make the part again; goes into the file.
    frozen : beginnings of names in the module's state that belong to the target.

    """

    module: nn.Module
    loss: Callable[[int], Tensor]
    config: dict[str, Any]
    frozen: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """A trainable part.

    Attributes
    ----------
    name : of its file.
    recipe : of its training.
    prepare : makes the job, from the teacher, tokens (n, length) that the teacher wrote, and the recipe.
    answers : sequences that the teacher shall write for it.

    """

    name: str
    recipe: Recipe
    prepare: Callable[[Teacher, Tensor, Recipe], Job]
    answers: int = 2048
