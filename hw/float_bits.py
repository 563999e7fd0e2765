"""Building blocks of the float32 units: take a pattern apart, normalise, round and pack.

The number contract is that of :mod:`terntable.models.golden.float_bits`. Inside a unit a number is a sign,
a biased exponent (one or two bits wider than its field, and signed, so that it can leave the range) and a
significand whose top bit is the one before the binary point.
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value, ValueLike, signed
from amaranth.lib import data

from terntable.hw.spec.numbers import INVALID

__all__ = ["BIAS", "EXPONENT", "Unpacked", "normalise", "round_pack", "shift_right_sticky", "unpack"]

BIAS = 127

#: Shape of an exponent inside a unit: sums of two fields and what normalising takes off still fit.
EXPONENT = signed(10)

#: A pattern taken apart. ``zero`` and ``invalid`` rule over the other fields.
Unpacked = data.StructLayout({"significand": 24, "exponent": 8, "sign": 1, "zero": 1, "invalid": 1})


def unpack(m: Module, raw: ValueLike, *, name: str) -> data.View:
    """The parts of a pattern, as an ``Unpacked``; a subnormal is a zero with significand 0."""
    parts = Signal(Unpacked, name=name)
    raw = Value.cast(raw)
    m.d.comb += [
        parts.sign.eq(raw[31]),
        parts.exponent.eq(raw[23:31]),
        parts.zero.eq(raw[23:31] == 0),
        parts.invalid.eq(raw[23:31].all()),
        parts.significand.eq(Mux(parts.zero, 0, Cat(raw[:23], C(1, 1)))),
    ]
    return parts


def normalise(m: Module, value: Value, *, name: str) -> tuple[Value, Value]:
    """``(value << zeros, zeros)`` with ``zeros`` the count of leading zeros.

    Each step of a binary search shifts at once, so no second shifter is needed. For value 0 the count is
    only some number of at most ``len(value)``.
    """
    counts = []
    step = 1 << (len(value) - 1).bit_length()
    while step := step >> 1:
        clear = Signal(name=f"{name}_clear_{step}")
        shifted = Signal(len(value), name=f"{name}_shifted_{step}")
        m.d.comb += [
            clear.eq(value[len(value) - step:] == 0),
            shifted.eq(Mux(clear, Cat(C(0, step), value[:-step]), value)),
        ]
        counts.append(clear)
        value = shifted
    return value, Cat(*reversed(counts))


def shift_right_sticky(m: Module, value: Value, amount: Value, *, name: str) -> Value:
    """``value >> amount`` with every bit that falls off gathered into bit 0; same width as ``value``."""
    for place, bit in enumerate(amount):
        step = 1 << place
        shifted = Signal(len(value), name=f"{name}_shifted_{step}")
        m.d.comb += shifted.eq(Mux(bit, (value >> step) | value[:step].any(), value))
        value = shifted
    return value


def round_pack(m: Module, sign: ValueLike, exponent: Value, significand: Value, *, zero: ValueLike,
               invalid: ValueLike, name: str = "rounded") -> Value:
    """Round to nearest even and pack.

    Parameters
    ----------
    exponent : EXPONENT
        Of the value before rounding: below 1 it is flushed, whatever rounding would do.
    significand : at least 26 bits
        Normalised (top bit set unless ``zero``); the top 24 bits stay, the next one is the half, all
        others count only as being non-zero.
    zero, invalid : 1 bit
        Force a zero of this sign, or INVALID, which wins.

    """
    spare = len(significand) - 24
    kept = significand[spare:]
    up = significand[spare - 1] & (significand[:spare - 1].any() | kept[0])
    # The stored fields as one number: a carry out of the fraction raises the exponent and leaves fraction 0.
    total = Signal(signed(33), name=name)
    m.d.comb += total.eq(Cat(kept[:23], exponent).as_signed() + up)
    flush = zero | (exponent < 1)
    overflow = (total >> 23) > 254
    number = Cat(Mux(flush, C(0, 31), total[:31]), sign)
    return Mux(invalid | (overflow & ~Value.cast(zero)), C(INVALID, 32), number)
