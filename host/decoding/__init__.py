"""Published decoding methods over one core: token laws, draft trees, acceptance rules and one verify loop."""

from typing import Any

__all__ = ["generate", "infill"]


def __getattr__(name: str) -> Any:
    # The parts load each other; a package that loads them all first would close a ring.
    if name == "generate":
        from terntable.host.decoding.generation import generate

        return generate
    if name == "infill":
        from terntable.host.decoding.infilling import infill

        return infill
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
