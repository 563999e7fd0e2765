"""Shapes that many units share."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

__all__ = ["columns", "integers", "per_row"]


def columns(*, rows: int, lanes: int, width: int = 32) -> data.ArrayLayout:
    """A word of `lanes` columns x `rows` rows of raw `width`-bit items; item (lane, row) is `word[lane][row]`."""
    return data.ArrayLayout(data.ArrayLayout(unsigned(width), rows), lanes)


def integers(*, rows: int, lanes: int, width: int) -> data.ArrayLayout:
    """The same word with signed items."""
    return data.ArrayLayout(data.ArrayLayout(signed(width), rows), lanes)


def per_row(*, rows: int, width: int = 32) -> data.ArrayLayout:
    """One `width`-bit item for each row."""
    return data.ArrayLayout(unsigned(width), rows)
