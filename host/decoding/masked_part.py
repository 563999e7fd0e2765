"""The masked drafter of a target, loaded only where it is asked for: it needs torch, which a board may not have."""

from typing import Any

from terntable.host.decoding.marginals import Marginals
from terntable.host.decoding.method import Setup
from terntable.host.decoding.parts import kept, load_part, part_file
from terntable.host.errors import InputError

__all__ = ["masked_model"]


def masked_model(method: str, part: str, setup: Setup) -> Marginals:
    """The model of a part; InputError if there is none for the target's model, or it is for another vocabulary."""
    def made() -> Any:
        from terntable.host.decoding.masked_drafter import load_masked

        recipe, tensors = load_part(method, setup.model, part, setup.parts)
        return load_masked(recipe["config"], tensors)

    model = kept(part_file(setup.model, part, setup.parts), made)
    if model.vocab != setup.target.vocab:
        raise InputError(f"Part {part} drafts {model.vocab} tokens, but target {setup.target.name} has {setup.target.vocab}")
    return model
