"""The element-wise pipeline: lanes that take a word of columns of all rows each cycle.

The arithmetic is defined by its twin, :mod:`terntable.models.golden.lanes`.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.glu import Glu
from terntable.hw.lane_pair import ONE, Addend, Factor, LanePair, Operand, check_sum_bits
from terntable.hw.largest import Largest
from terntable.hw.partial_sums import PartialSums
from terntable.hw.shapes import columns, integers, per_row
from terntable.hw.spec.program import VecMode

__all__ = ["FROM_SUMS", "GATED", "VectorLanes"]

#: Modes that make one column of two, and modes that start from sums of the ternary engine.
GATED = (VecMode.GLU_RELU2, VecMode.GLU_SILU)
FROM_SUMS = (VecMode.CONVERT, VecMode.ROPE, VecMode.ADD, *GATED)

#: Modes that keep the largest magnitude of each row.
TRACKED = (VecMode.NORM, VecMode.CONVERT, VecMode.ROPE)

FACTORS = {VecMode.NORM: Factor.SELF, VecMode.QUANT: Factor.SCALE, VecMode.ROPE: Factor.COSINE, VecMode.ADD: Factor.FACTOR,
           VecMode.GLU_RELU2: Factor.FACTOR, VecMode.GLU_SILU: Factor.FACTOR}
ADDENDS = {VecMode.NORM: Addend.PARTIAL, VecMode.QUANT: Addend.WHOLE, VecMode.ROPE: Addend.OTHER, VecMode.ADD: Addend.X}

#: Stages, counted from the cycle in which a word of sums enters: where the first operand is there, the products, the sum.
OPERAND = LanePair.INTEGER_LATENCY
PRODUCT = OPERAND + LanePair.PRODUCT_LATENCY
SUM = OPERAND + LanePair.LATENCY
GATE = PRODUCT + Glu.LATENCY


class VectorLanes(wiring.Component):
    """``rows`` x ``lanes`` lanes that never stall.

    A word that starts from sums has them there as it enters; all others are of X or Y, which ``fetch`` asks for. All other
    operands come from memories, too, just when they are needed.

    ============  =====================================================
    Computes      the function of ``terntable.models.golden.lanes`` that ``mode`` names
    Latency       ``LATENCY[mode]`` cycles from a word that enters to its result
    Throughput    one word per cycle; GLU modes: a pair of columns per ``turns`` cycles
    Widths        float32 patterns; integers of ``sum_bits`` bits in, 16 or 8 bits out
    Stall         stands still while ``en`` is low
    ============  =====================================================

    Parameters
    ----------
    rows : int
        Rows, at least 1.
    lanes : int
        Columns of a word: 2 or 4.
    sum_bits : int
        Bits of a sum, 2 to 32.
    glu_units : int
        Gates at a time, at most ``rows``.

    Members
    -------
    en : In(1)
        High while there is work; an empty pipe need not move.
    clear : In(1)
        Pulse not after the first word enters, while no word is inside: the sum of squares, ``sum_valid`` and ``invalid`` fall
        back to zero, and so does ``amax`` if ``mode``, already that of the words to come, keeps it.
    mode, bits16, from_y : In
        Static until the last result. QUANT to 16 bits, else to 8; NORM and QUANT of Y, else of X.
    s, factor, factor2 : In(32 x rows)
        S of QUANT, F and F2.
    enter : In(1)
        A word begins. In GLU modes, one pulse and stable ``sums`` for each of ``turns`` consecutive cycles.
    fetch : Out(1)
        In the next cycle, ``x``, ``y`` and ``angle`` must be of the next word that entered: the operand, or what is added.
    sums : In(signed(sum_bits) x rows x lanes)
    x, y, angle : In(32 x rows x lanes)
        ``angle``: even lanes hold the cosine and odd lanes the sine of their pair.
    gamma : In(32 x lanes)
        Of a word, the cycle after it enters.
    o_valid, o_y, o_q : Out
        Results; ``o_q`` is that of QUANT, which has no ``o_y``.
    ended : In(1)
        No further word will enter: NORM adds up what it has.
    amax : Out(32 x rows)
        Largest ``|y|`` of NORM, CONVERT and ROPE; other modes leave it alone. Final ``SETTLE`` cycles after the last result.
    sum, sum_valid : Out
        Of the squares of NORM.
    invalid : Out(1)
        A result, or the sum, was INVALID since ``clear``; as late as ``amax``.

    Attributes
    ----------
    turns : int
    SETTLE : int
    SUM_LATENCY : int
        Cycles from NORM's last word to ``sum_valid``.

    """

    LATENCY = {
        VecMode.NORM: LanePair.PRODUCT_LATENCY + 2, VecMode.QUANT: LanePair.LATENCY + 3,
        **{mode: (GATE if mode in GATED else SUM) + 1 for mode in FROM_SUMS},
    }

    def __init__(self, *, rows: int, lanes: int, sum_bits: int, glu_units: int):
        if type(rows) is not int or rows < 1:
            raise ValueError(f"rows must be a positive integer, not {rows!r}")
        check_sum_bits(sum_bits)
        self.rows, self.lanes, self.sum_bits = rows, lanes, sum_bits
        self.partial_sums = PartialSums(rows=rows, lanes=lanes)
        self.largest = Largest(rows=rows, lanes=lanes)
        self.SETTLE = self.largest.LATENCY
        self.SUM_LATENCY = LanePair.LATENCY + 3 + self.partial_sums.LATENCY
        self.glu = Glu(rows=rows, units=glu_units)
        self.turns = self.glu.turns * (lanes // 2)
        word, row = columns(rows=rows, lanes=lanes), per_row(rows=rows)
        super().__init__({
            "en": In(1), "clear": In(1), "mode": In(VecMode), "bits16": In(1), "from_y": In(1),
            "s": In(row), "factor": In(row), "factor2": In(row), "enter": In(1), "fetch": Out(1),
            "sums": In(integers(rows=rows, lanes=lanes, width=sum_bits)), "x": In(word), "y": In(word), "angle": In(word),
            "gamma": In(data.ArrayLayout(32, lanes)), "o_valid": Out(1), "o_y": Out(word),
            "o_q": Out(integers(rows=rows, lanes=lanes, width=16)), "ended": In(1),
            "amax": Out(row), "sum": Out(row), "sum_valid": Out(1), "invalid": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.partial_sums = sums = self.partial_sums
        m.submodules.glu = self.glu
        norm, gated, from_sums = (self.mode.matches(*modes) for modes in ((VecMode.NORM,), GATED, FROM_SUMS))

        # Bit n: stage n + 1 holds a word. One of X or Y skips the stages that make floats of integers.
        full = Signal(GATE)
        at = [self.enter & from_sums, *full]
        at[OPERAND - 1] = at[OPERAND - 1] | (self.enter & ~from_sums)
        with m.If(self.en):
            m.d.sync += full.eq(Cat(at[:SUM], at[SUM] & gated, at[SUM + 1:-1]))
        # Data come a cycle later; what is added waits in a register for another one, as adders are slow at their inputs.
        m.d.comb += self.fetch.eq(Mux(self.mode == VecMode.ADD, at[PRODUCT - 2], at[OPERAND - 1]))

        product, side, total = (Signal(columns(rows=self.rows, lanes=self.lanes), name=name)
                                for name in ("product", "side", "total"))
        self._pairs(m, sums, product, side, total)

        waiting, asked = Signal(), Signal()
        m.d.comb += [
            sums.clear.eq(self.clear), sums.add.eq(norm & at[PRODUCT - 2]), sums.total.eq(total),
            sums.start.eq(waiting & ~asked),
            self.sum.eq(sums.sum), self.sum_valid.eq(sums.valid),
        ]
        m.d.sync += [waiting.eq(norm & self.ended & ~full[:SUM].any()), asked.eq(waiting & ~self.clear)]

        self._gate(m, at[PRODUCT] & gated, product)
        self._results(m, at, norm, gated, side, total)
        return m

    def _pairs(self, m: Module, sums: PartialSums, product: data.View, side: data.View, total: data.View) -> None:
        """The lanes, and which operands they get. Only the fold changes what the mode says. The first word's operand is there
        no sooner than a cycle after it enters, so that the choice may stand in registers.
        """
        operand, factor, addend, turn, fold = Signal(Operand), Signal(Factor), Signal(Addend), Signal(), Signal()
        m.d.sync += [operand.eq(Mux(self.from_y, Operand.Y, Operand.X)), factor.eq(Factor.ONE), addend.eq(Addend.NOTHING),
                     turn.eq(self.mode == VecMode.ROPE), fold.eq(sums.fold)]
        with m.Switch(self.mode):
            for mode in VecMode:
                with m.Case(mode):
                    if mode in FROM_SUMS:
                        m.d.sync += operand.eq(Operand.INTEGER)
                    if mode in FACTORS:
                        m.d.sync += factor.eq(FACTORS[mode])
                    if mode in ADDENDS:
                        m.d.sync += addend.eq(ADDENDS[mode])
        with m.If(sums.fold):
            m.d.sync += [operand.eq(Operand.FOLD), factor.eq(Factor.ONE)]
        with m.If(sums.across):
            m.d.sync += addend.eq(Addend.OTHER)
        gamma = [Mux(fold, ONE, one) for one in self.gamma]

        for row in range(self.rows):
            for lane in range(0, self.lanes, 2):
                m.submodules[f"pair_{row}_{lane}"] = pair = LanePair(sum_bits=self.sum_bits)
                m.d.comb += [
                    pair.en.eq(self.en), pair.bits16.eq(self.bits16), pair.operand.eq(operand), pair.factor_kind.eq(factor),
                    pair.addend.eq(addend), pair.turn.eq(turn), pair.subtract.eq(turn),
                    pair.cosine.eq(self.angle[lane][row]), pair.sine.eq(self.angle[lane + 1][row]), pair.scale.eq(self.s[row]),
                    pair.factor[0].eq(self.factor[row]), pair.factor[1].eq(self.factor2[row]),
                ]
                for k in range(2):
                    m.d.comb += [
                        pair.integer[k].eq(self.sums[lane + k][row]), pair.x[k].eq(self.x[lane + k][row]),
                        pair.y_in[k].eq(self.y[lane + k][row]), pair.fold[k].eq(sums.upper[lane + k][row]),
                        pair.gamma[k].eq(gamma[lane + k]), pair.partial[k].eq(sums.value[lane + k][row]),
                        product[lane + k][row].eq(pair.product[k]), side[lane + k][row].eq(pair.side[k]),
                        total[lane + k][row].eq(pair.y[k]), self.o_q[lane + k][row].eq(pair.q[k]),
                    ]

    def _gate(self, m: Module, valid: Value, product: data.View) -> None:
        """Pairs of columns, which stay for some cycles, to the units that compute the gate of some rows at a time."""
        glu, pairs = self.glu, self.lanes // 2
        m.d.comb += [glu.en.eq(self.en), glu.silu.eq(self.mode == VecMode.GLU_SILU)]
        turn, pair = _count(m, valid, (glu.turns, pairs), name="gate")
        m.d.comb += glu.turn.eq(turn)
        with m.Switch(pair):
            for n in range(pairs):
                with m.Case(n):
                    m.d.comb += [glu.g.eq(product[2 * n]), glu.u.eq(product[2 * n + 1])]

    def _results(self, m: Module, at: list[Value], norm: Value, gated: Value, side: data.View, total: data.View) -> None:
        """One register for the results of all modes; those of the gate fill it step by step."""
        glu = self.glu
        turn, lane = _count(m, at[GATE] & gated, (glu.turns, self.lanes), name="result")
        complete = at[GATE] & (turn == glu.turns - 1) & (lane == self.lanes - 1)
        # An integer is made of the number that is looked at for the largest.
        there, seen = Signal(), Signal()
        m.d.comb += there.eq(Mux(norm, at[PRODUCT], Mux(gated, complete, at[SUM])) & self.en)
        m.d.sync += [seen.eq(there), self.o_valid.eq(Mux(self.mode == VecMode.QUANT, seen, there))]
        y = Signal.like(self.o_y, name="y", reset_less=True)
        m.d.comb += self.o_y.eq(y)
        for n in range(self.lanes):
            for row in range(self.rows):
                with m.If(~gated | ((turn == row // glu.units) & (lane == n))):
                    m.d.sync += y[n][row].eq(Mux(norm, side[n][row], Mux(gated, glu.y[row % glu.units], total[n][row])))

        m.submodules.largest = largest = self.largest
        m.d.comb += [
            largest.clear.eq(self.clear), largest.track.eq(self.mode.matches(*TRACKED)), largest.valid.eq(seen),
            largest.word.eq(self.o_y), self.amax.eq(largest.amax),
        ]
        # The sum is final long after the last result has been looked at.
        bad = Signal()
        m.d.sync += bad.eq(self.sum_valid & Cat(item[23:31].all() for item in self.sum).any())
        m.d.comb += self.invalid.eq(largest.invalid | bad)


def _count(m: Module, step: Value, limits: tuple[int, int], *, name: str) -> tuple[Value, Value]:
    """A counter of two digits, the first the faster one, that advances with `step`."""
    digits = [Signal(range(max(2, limit)), name=f"{name}_{n}") for n, limit in enumerate(limits)]
    for digit, limit in zip(digits, limits, strict=True):
        last = digit == limit - 1
        with m.If(step):
            m.d.sync += digit.eq(Mux(last, 0, digit + 1))
        step = step & last
    return digits[0], digits[1]
