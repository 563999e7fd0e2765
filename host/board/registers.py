"""Writes the register files that are checked in: ``python -m terntable.host.board.registers``, or `make registers`."""

from collections.abc import Callable
from pathlib import Path

from terntable.host.board.c_header import c_header
from terntable.host.board.rdl import system_rdl
from terntable.host.board.register_page import register_page

__all__ = ["CHECKED_IN", "main"]

#: File, from the root of the repository, and what writes its text.
CHECKED_IN: dict[str, Callable[[], str]] = {
    "docs/registers.md": register_page,
    "docs/registers/terntable.h": c_header,
    "docs/registers/terntable.rdl": system_rdl,
}


def main(root: Path = Path()) -> None:
    """Write them below `root`, which is the repository."""
    for name, text in CHECKED_IN.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text())
        print(path)


if __name__ == "__main__":
    main()
