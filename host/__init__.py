"""The host: compiler, devices, sessions, generation and the command line."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from terntable.host.session import Session

__all__ = ["Session"]


def __getattr__(name: str) -> Any:
    # Modules that need no session must not pay for one.
    if name == "Session":
        from terntable.host.session import Session

        return Session
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
