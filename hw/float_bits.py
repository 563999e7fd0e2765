"""Building blocks of the float32 units: take a pattern apart, normalise, round and pack.

The number contract is that of :mod:`terntable.models.golden.float_bits`. Inside a unit a number is a sign,
a biased exponent (one or two bits wider than its field, and signed, so that it can leave the range) and a
significand whose top bit is the one before the binary point.
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value, ValueLike, signed
from amaranth.lib import data

from terntable.hw.kernel import register
from terntable.hw.spec.numbers import INVALID

__all__ = ["BIAS", "EXPONENT", "LIMITS", "Unpacked", "add_if", "add_or_subtract", "align", "exponent_limits", "leading_zeros",
           "normalise_coarse", "normalise_fine", "round_pack", "shift_right_sticky", "unpack", "used_bytes",
           "wide_product"]

BIAS = 127

#: Shape of an exponent inside a unit: sums of two fields and what normalising takes off still fit.
EXPONENT = signed(10)

#: Where an exponent lies: below 0, at 0, at 253, at 254, above 254.
LIMITS = data.StructLayout({"below": 1, "least": 1, "before": 1, "most": 1, "above": 1})

#: Bits of a factor that one multiplier block takes; two blocks take twice as many.
BLOCK_BITS = 17

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


def add_or_subtract(a: Value, b: Value, subtract: Value, *, width: int) -> Value:
    """The low `width` bits of ``a - b if subtract else a + b``, unsigned.

    A sum is ``a - ~b - 1``, where a place below the others lends the one: a single carry chain that changes one
    operand only, which takes a lookup table a bit.
    """
    b = Cat(b, C(0, width))[:width]
    return (Cat(C(0, 1), a) - Cat(~subtract, b ^ (~subtract).replicate(width)))[1:1 + width]


def add_if(a: Value, b: Value, add: Value, *, width: int) -> Value:
    """The low `width` bits of ``a + b if add else a``; see `add_or_subtract`."""
    b = Cat(b, C(0, width))[:width]
    return (Cat(C(0, 1), a) - Cat(add, ~b & add.replicate(width)))[1:1 + width]


def leading_zeros(m: Module, value: Value, *, name: str) -> Value:
    """Count of leading zeros of ``value``; some number of at most ``len(value)`` if it is 0."""
    count = Signal(range(len(value)), name=name)
    with m.If(value[-1]):
        m.d.comb += count.eq(0)
    for place in range(1, len(value)):
        with m.Elif(value[-1 - place]):
            m.d.comb += count.eq(place)
    return count


def used_bytes(value: Value) -> Value:
    """For `normalise_coarse`: a bit for each eight places from the top down that hold a one."""
    count = (len(value) + 7) // 8
    padded = Cat(C(0, 8 * count - len(value)), value)
    return Cat(padded.word_select(count - 1 - n, 8).any() for n in range(count))


def normalise_coarse(m: Module, value: Value, used: Value, *, name: str) -> tuple[Value, Value]:
    """``(value << 8 * bytes, bytes)``: the leading one comes to one of the top eight places.

    `used` is what `used_bytes` gives, a clock earlier where time is short. With `normalise_fine` a clock later, that
    makes short steps of a long one. For value 0, `bytes` is any number.
    """
    skipped = Signal(range(len(used)), name=f"{name}_bytes")
    with m.If(used[0]):
        m.d.comb += skipped.eq(0)
    for n in range(1, len(used) - 1):
        with m.Elif(used[n]):
            m.d.comb += skipped.eq(n)
    with m.Else():
        m.d.comb += skipped.eq(len(used) - 1)
    return (value << (skipped << 3))[:len(value)], skipped


def normalise_fine(m: Module, value: Value, *, name: str) -> tuple[Value, Value]:
    """``(value << zeros, zeros)`` after `normalise_coarse`; `zeros` is three bits.

    The last place is for the caller to shift, by bit 0 of `zeros`, so that it joins the logic that follows.
    """
    zeros = leading_zeros(m, value[-8:], name=f"{name}_zeros")
    return (value << Cat(C(0, 1), zeros[1:]))[:len(value)], zeros


def shift_right_sticky(m: Module, value: Value, amount: Value, *, name: str) -> Value:
    """``value >> amount`` with every bit that falls off gathered into bit 0; same width as ``value``."""
    for place, bit in reversed(list(enumerate(amount))):
        step = 1 << place
        shifted = Signal(len(value), name=f"{name}_shifted_{step}")
        m.d.comb += shifted.eq(Mux(bit, (value >> step) | value[:step].any(), value))
        value = shifted
    return value


def align(m: Module, significand: Value, distance: Value, *, places: int, name: str) -> Value:
    """``significand``, from the top of `places` bits, shifted right by ``distance``, in two clocks.

    Below these bits comes the half bit, and as bit 0 the sticky one.
    """
    width = places + 2
    excess = len(significand) - width + 1
    if excess > 0:
        value = Cat(significand[:excess].any(), significand[excess:])
    else:
        value = Cat(C(0, 1 - excess), significand)
    low = len(distance) // 2
    far, unit = distance[low:], 1 << low
    # What falls off is gathered beside the shift, from all places at once.
    lost = Cat(value[n * unit:(n + 1) * unit].any() & (far > n) for n in range(min(-(-width // unit), (1 << len(far)) - 1))).any()
    shifted = Signal(width, name=f"{name}_far")
    m.d.comb += shifted.eq(value >> (far << low))
    value = Cat(shifted[0] | lost, shifted[1:])
    value, distance = register(m, value, name=f"{name}_first"), register(m, distance[:low], name=f"{name}_left")
    return register(m, shift_right_sticky(m, value, distance, name=f"{name}_near"), name=name)


def exponent_limits(m: Module, exponent: Value, *, name: str) -> data.View:
    """The ``LIMITS`` of an exponent, for `round_pack` a clock or more later."""
    limits = Signal(LIMITS, name=name)
    m.d.comb += [
        limits.below.eq(exponent < 0), limits.least.eq(exponent == 0), limits.before.eq(exponent == 253),
        limits.most.eq(exponent == 254), limits.above.eq(exponent > 254),
    ]
    return limits


def round_pack(m: Module, sign: ValueLike, exponent: Value, significand: Value, *, zero: ValueLike, invalid: ValueLike,
               limits: data.View | None = None, more: ValueLike | None = None, name: str = "rounded") -> Value:
    """Round to nearest even and pack.

    Parameters
    ----------
    exponent : EXPONENT
        With `more` added, that of the value before rounding: below 1 it is flushed, whatever rounding would do.
    significand : at least 26 bits
        Normalised (top bit set unless ``zero``); the top 24 bits stay, the next one is the half, all
        others count only as being non-zero.
    zero, invalid : 1 bit
        Force a zero of this sign, or INVALID, which wins.
    limits : LIMITS
        Of `exponent`, where a stage before has made them.
    more : 1 bit
        One more in the exponent, for what normalising finds late.

    """
    spare = len(significand) - 24
    kept = significand[spare:]
    up = significand[spare - 1] & (significand[:spare - 1].any() | kept[0])
    zero, more = Value.cast(zero), C(0, 1) if more is None else Value.cast(more)
    limits = exponent_limits(m, exponent, name=f"{name}_limits") if limits is None else limits
    # The stored fields as one number: a carry out of the fraction raises the exponent and leaves fraction 0.
    total, stored = Signal(32, name=name), Signal(9, name=f"{name}_exponent")
    m.d.comb += [stored.eq(exponent + more), total.eq(Cat(kept[:23], stored) + up)]
    # Early, so that registers behind it can be reset instead of waiting for the sum.
    bad, none = Signal(name=f"{name}_bad"), Signal(name=f"{name}_none")
    m.d.comb += [
        bad.eq(invalid | (limits.above | limits.most & more) & ~zero),
        none.eq(bad | zero | limits.below | limits.least & ~more),
    ]
    # Rounding takes exponent 254 no further than to 255 with fraction 0, which one bit makes INVALID.
    over = Mux(more, limits.before, limits.most) & total[23]
    high = C(INVALID >> 22 & 0x1FF, 9)
    return Cat(Mux(none, 0, total[:22]), Mux(bad, high, Mux(none, 0, total[22:31] | over)), sign & ~bad & ~over)


def wide_product(m: Module, a: Value, b: Value, *, name: str) -> Value:
    """``a * b`` in two clocks, of unsigned factors: `a` of up to 26 bits, `b` of 18 to 34.

    The registers are those of two multiplier blocks, behind the products and behind their sum.
    """
    low = register(m, a * b[:BLOCK_BITS], name=f"{name}_low")
    high = register(m, a * b[BLOCK_BITS:], name=f"{name}_high")
    total = Signal(len(a) + len(b) - BLOCK_BITS, name=f"{name}_sum")
    m.d.comb += total.eq(high + (low >> BLOCK_BITS))
    return Cat(register(m, low[:BLOCK_BITS], name=f"{name}_tail"), register(m, total, name=name))
