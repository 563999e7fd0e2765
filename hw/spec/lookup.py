"""The table of a lookup: the signed sums of three activations that three trits can ask for.

Opposite trits ask for opposite sums, so 14 entries and a sign serve all 27. The entries stand in an order in which each differs
from the one before in one activation, added once or taken away once; an entry's address is its place in that order.
"""

__all__ = ["ADDRESS_BITS", "CODES", "ENTRIES", "ENTRY_BITS", "STEPS", "TRITS", "WALK", "build_parts"]

#: Trits of a lookup.
TRITS = 3

#: Trits of each entry, the first activation's first.
WALK = ((0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (-1, 1, 0), (-1, 1, 1), (0, 1, 1), (1, 1, 1), (1, 0, 1), (0, 0, 1),
        (-1, 0, 1), (-1, -1, 1), (0, -1, 1), (1, -1, 1))
ENTRIES = len(WALK)
ADDRESS_BITS = 4

#: Three activations of 8 bits add up to -384 .. 383.
ENTRY_BITS = 10


def _steps() -> tuple[tuple[int, int], ...]:
    found = [(0, 0)]
    for before, after in zip(WALK, WALK[1:], strict=False):
        (step,) = [(place, b - a) for place, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
        found.append(step)
    return tuple(found)


def _codes() -> tuple[tuple[int, int], ...]:
    found = {}
    for address, trits in enumerate(WALK):
        number = sum((w + 1) * 3**place for place, w in enumerate(trits))
        found[26 - number], found[number] = (address, 1), (address, 0)
    return tuple(found[number] for number in range(27))


#: How each entry comes from the one before: the activation's place and what it is multiplied by, 1 or -1. The first one is zero.
STEPS = _steps()

#: ``(address, negate)`` of the trits with number ``sum((w + 1) * 3**place)``.
CODES = _codes()


def build_parts(*, groups: int, lanes: int, cells: int) -> int:
    """Into how many parts the building of a tile's tables is divided, where a block has `cells` cells of a tile.

    Tables of ``groups / parts`` groups are built at a time, in a cycle for each entry. There are as many parts as leave half of
    a tile's time unused, so that a block of half the size does not have to wait.
    """
    parts = 1
    while groups % (2 * parts) == 0 and TRITS * groups // (2 * parts) % lanes == 0 and 2 * (2 * parts * ENTRIES) <= cells:
        parts *= 2
    return parts
