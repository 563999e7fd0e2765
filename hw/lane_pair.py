"""The arithmetic of two adjacent columns of one row, from their operands to their results.

The arithmetic is defined by its twin, :mod:`terntable.models.golden.lanes`.
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, enum
from amaranth.lib.wiring import In, Out

from terntable.hw.float_add import FloatAdd
from terntable.hw.float_from_int import FloatFromInt
from terntable.hw.float_mul import FloatMul
from terntable.hw.kernel import Kernel, register

__all__ = ["ONE", "Addend", "Factor", "LanePair", "Operand", "check_sum_bits"]

#: x * 1 and x + -0 are x for every result of a float unit.
ONE, MINUS_ZERO = 0x3F800000, 0x80000000

#: 1.5 * 2**23: the sum with it has the last place 1, so that adding rounds to whole numbers.
WHOLE = 0x4B400000
WHOLE_EXPONENT = WHOLE >> 23

#: Bits of a rounded result, and of its short form.
LONG, SHORT = 16, 8


def check_sum_bits(sum_bits: int) -> None:
    """ValueError unless the integers of the ternary engine may have so many bits."""
    if type(sum_bits) is not int or not 2 <= sum_bits <= 32:
        raise ValueError(f"sum_bits must be 2..32, not {sum_bits!r}")


class Operand(enum.Enum, shape=2):
    """What both products start from."""

    X = 0
    Y = 1
    INTEGER = 2
    FOLD = 3


class Factor(enum.Enum, shape=3):
    """What the first product multiplies with."""

    SELF = 0
    COSINE = 1
    FACTOR = 2
    SCALE = 3
    ONE = 4


class Addend(enum.Enum, shape=3):
    """What is added to the first product."""

    NOTHING = 0
    WHOLE = 1
    X = 2
    PARTIAL = 3
    OTHER = 4


class LanePair(Kernel):
    """Two lanes, which share the angle of a rotation.

    ============  =====================================================
    Computes      ``product = operand * factor``; ``side = operand * (turn ? sine : gamma)``;
                  ``y = product + addend``, where OTHER is the other lane's ``side``; ``q`` is ``y`` as an integer
    Latency       from the operand: ``PRODUCT_LATENCY`` to ``product`` and ``side``, ``LATENCY`` to ``y``, two more to ``q``
    Throughput    one per enabled clock
    Widths        float32 patterns; integers of ``sum_bits`` bits in, 16 bits out
    Stall         stands still while ``en`` is low
    ============  =====================================================

    Parameters
    ----------
    sum_bits : int
        Bits of an integer operand, 2 to 32.

    Members
    -------
    operand, factor_kind, turn : In
        Of the word whose operand is there.
    addend, subtract : In
        Of the word whose product is there; ``subtract`` turns the sign of lane 0's addend.
    bits16 : In(1)
        ``q`` is clamped to 16 bits, else to 8.
    integer : In(signed(sum_bits) x 2)
        Enters ``INTEGER_LATENCY`` before the operand.
    x, y_in, fold : In(32 x 2)
        Operands. ``x`` is also the addend, then a cycle before the product.
    cosine, sine, scale : In(32)
    gamma, factor : In(32 x 2)
    partial : In(32 x 2)
        With the product.
    y, product, side : Out(32 x 2)
    q : Out(signed(16) x 2)
        Of a ``y`` made with the addend WHOLE; 0 for an invalid one.

    """

    INTEGER_LATENCY = FloatFromInt.LATENCY
    PRODUCT_LATENCY = FloatMul.LATENCY
    LATENCY = FloatMul.LATENCY + FloatAdd.LATENCY

    def __init__(self, *, sum_bits: int = 32):
        check_sum_bits(sum_bits)
        self.sum_bits = sum_bits
        two = data.ArrayLayout(32, 2)
        super().__init__({
            "operand": In(Operand), "factor_kind": In(Factor), "turn": In(1), "addend": In(Addend), "subtract": In(1),
            "bits16": In(1), "integer": In(data.ArrayLayout(signed(sum_bits), 2)),
            "x": In(two), "y_in": In(two), "fold": In(two), "cosine": In(32), "sine": In(32), "scale": In(32),
            "gamma": In(two), "factor": In(two), "partial": In(two),
            "y": Out(two), "product": Out(two), "side": Out(two), "q": Out(data.ArrayLayout(signed(LONG), 2)),
        })

    def pipeline(self, m: Module) -> None:
        for lane in range(2):
            m.submodules[f"convert_{lane}"] = convert = FloatFromInt(width=self.sum_bits)
            m.submodules[f"first_{lane}"] = first = FloatMul()
            m.submodules[f"second_{lane}"] = second = FloatMul()
            m.submodules[f"add_{lane}"] = add = FloatAdd()
            # The pair's own `en` holds what is inside, too.
            m.d.comb += [kernel.en.eq(1) for kernel in (convert, first, second, add)]

            operand = Signal(32, name=f"operand_{lane}")
            m.d.comb += convert.a.eq(self.integer[lane])
            with m.Switch(self.operand):
                for kind, value in ((Operand.X, self.x[lane]), (Operand.Y, self.y_in[lane]),
                                    (Operand.INTEGER, convert.y), (Operand.FOLD, self.fold[lane])):
                    with m.Case(kind):
                        m.d.comb += operand.eq(value)
            m.d.comb += [
                first.a.eq(operand), second.a.eq(operand),
                second.b.eq(Mux(self.turn, self.sine, self.gamma[lane])),
                self.product[lane].eq(first.y), self.side[lane].eq(second.y),
            ]
            with m.Switch(self.factor_kind):
                for kind, value in ((Factor.SELF, operand), (Factor.COSINE, self.cosine),
                                    (Factor.FACTOR, self.factor[lane]), (Factor.SCALE, self.scale)):
                    with m.Case(kind):
                        m.d.comb += first.b.eq(value)
                with m.Default():
                    m.d.comb += first.b.eq(ONE)

            m.d.comb += [add.a.eq(first.y), add.sub.eq(self.subtract if lane == 0 else 0), self.y[lane].eq(add.y)]
            with m.Switch(self.addend):
                for kind, value in ((Addend.WHOLE, C(WHOLE, 32)), (Addend.X, register(m, self.x[lane], name=f"x_{lane}_held")),
                                    (Addend.PARTIAL, self.partial[lane]), (Addend.OTHER, self.side[1 - lane])):
                    with m.Case(kind):
                        m.d.comb += add.b.eq(value)
                with m.Default():
                    m.d.comb += add.b.eq(MINUS_ZERO)
            m.d.comb += self.q[lane].eq(self._clamped(m, add.y, name=f"q_{lane}"))

    def _clamped(self, m: Module, total: Value, *, name: str) -> Value:
        """In two clocks, the integer whose sum with WHOLE is `total`. Beyond 22 bits the sum has another exponent, or a sign."""
        integer = Cat(total[:22], ~total[22])
        exponent, top = total[23:31], integer[LONG - 1:]
        held = Signal(data.StructLayout({"integer": LONG, "small": 1, "short": 1, "negative": 1, "invalid": 1}), name=name,
                      reset_less=True)
        m.d.sync += [
            held.integer.eq(Cat(integer[:LONG - 1], integer[-1])),
            held.small.eq((exponent == WHOLE_EXPONENT) & ~total[31]),
            held.short.eq(_same(top) & (self.bits16 | _same(integer[SHORT - 1:LONG]))),
            # As one comparison: with WHOLE's exponent a sum below WHOLE is negative.
            held.negative.eq(total[31] | (total[22:31] < WHOLE >> 22)),
            held.invalid.eq(exponent.all()),
        ]
        # An invalid total does not fit, and gives no ones either.
        fits = held.small & held.short
        low = ~(fits | held.invalid | held.negative)
        high = ~(fits | held.invalid | (held.negative ^ ~self.bits16))
        sign = ~(fits | held.invalid) & held.negative
        ones = Cat(low.replicate(SHORT - 1), high.replicate(LONG - SHORT), sign)
        return register(m, (held.integer & fits.replicate(LONG)) | ones, name=f"{name}_held").as_signed()


def _same(bits: Value) -> Value:
    """Whether all of `bits` are the same."""
    return bits.all() | ~bits.any()
