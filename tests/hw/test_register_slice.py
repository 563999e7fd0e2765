"""terntable.hw.register_slice: items in order, each a cycle later, and both handshakes from registers."""

from terntable.hw.register_slice import RegisterSlice

SETS = {"bit": 1, "byte": 8, "wide": 200}


def test_hands_on(simulate):
    simulate({name: RegisterSlice(shape=width) for name, width in SETS.items()}, "tests.hw.register_slice_bench")
