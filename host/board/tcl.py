"""Pieces of Tcl text for Vivado."""

from collections.abc import Iterable

__all__ = ["FOLDER", "braced", "command"]

#: First line of a script that finds the files beside it.
FOLDER = "set here [file dirname [file normalize [info script]]]"


def braced(text: str) -> str:
    """A word of Tcl that is taken as it stands."""
    if any(character in text for character in "{}\\\n"):
        raise ValueError(f"Tcl text must have no braces, backslashes or line ends: {text!r}")
    return f"{{{text}}}"


def command(name: str, words: Iterable[str]) -> str:
    """A command with a word on each line."""
    return " \\\n    ".join([name, *words])
