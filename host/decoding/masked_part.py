"""The masked drafter of a target, loaded only where it is asked for: it needs torch, which a board may not have."""

from typing import Any

from terntable.host.decoding.marginals import Marginals
from terntable.host.decoding.method import Setup
from terntable.host.decoding.parts import kept, load_part, part_file
from terntable.host.errors import DeviceError, InputError

__all__ = ["masked_model"]


def masked_model(method: str, part: str, setup: Setup) -> Marginals:
    """The model of a part.

    Raises
    ------
    DeviceError
        torch is not installed.
    InputError
        There is no such part for the target's model, or it is for another vocabulary.

    """
    try:
        from terntable.host.decoding.masked_drafter import load_masked
    except ImportError as error:
        raise DeviceError(f"Method {method} needs {error.name}, which is not installed: pip install 'terntable[torch]'") from error

    def made() -> Any:
        recipe, tensors = load_part(method, setup.model, part, setup.parts)
        return load_masked(recipe["config"], tensors)

    model = kept(part_file(setup.model, part, setup.parts), made)
    if model.vocab != setup.target.vocab:
        raise InputError(f"Part {part} drafts {model.vocab} tokens, but target {setup.target.name} has {setup.target.vocab}")
    return model
