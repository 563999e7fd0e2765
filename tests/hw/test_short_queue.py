"""terntable.hw.short_queue: items in order, each a cycle later at the earliest, and both handshakes from registers."""

import pytest

from terntable.hw.short_queue import ShortQueue

#: Width of an item, and how many there is room for.
SETS = {"bit": (1, 2), "byte": (8, 5), "wide": (200, 16)}


def test_hands_on(simulate):
    simulate({name: ShortQueue(shape=width, depth=depth) for name, (width, depth) in SETS.items()}, "tests.hw.short_queue_bench")


@pytest.mark.parametrize("depth", [1, 2.0, True])
def test_refuses_a_depth(depth):
    with pytest.raises(ValueError, match="depth must be an integer of at least 2, not"):
        ShortQueue(shape=1, depth=depth)
