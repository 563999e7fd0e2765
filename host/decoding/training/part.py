"""What the training command needs to know of a part."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from terntable.host.decoding.parts import SHIPPED_PARTS
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
    finish : called once the module is trained, to measure what shall be kept with it.
    keep : writes what was trained below a folder, in place of the one file of a part, and says where.

    """

    module: nn.Module
    loss: Callable[[int], Tensor]
    config: dict[str, Any]
    frozen: tuple[str, ...] = ()
    finish: Callable[[], None] | None = None
    keep: Callable[[Path], Path] | None = None


@dataclass(frozen=True)
class Part:
    """A trainable part.

    Attributes
    ----------
    name : of its file.
    recipe : of its training.
    prepare : makes the job, from the teacher, tokens (n, length) that the teacher wrote, and the recipe.
    answers : sequences that the teacher shall write for it.
    make : makes the job from the recipe alone, for a part that the teacher's text is not for.
    model : name that such a part is kept by.
    home : folder where the shipped one lies.

    """

    name: str
    recipe: Recipe
    prepare: Callable[[Teacher, Tensor, Recipe], Job] | None = None
    answers: int = 2048
    make: Callable[[Recipe], Job] | None = None
    model: str = ""
    home: Path = SHIPPED_PARTS
