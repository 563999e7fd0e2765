"""The divisions of attention: what values are scaled with, before and after they are summed up.

The arithmetic is defined by its twin, :func:`terntable.models.golden.attention.attention`.
"""

from amaranth.hdl import Array, Cat, Module, Mux, Signal
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.attention_convert import AttentionConvert
from terntable.hw.attention_sizes import AttentionSizes
from terntable.hw.float_quotient import FloatQuotient
from terntable.hw.kernel import delay, register
from terntable.hw.spec.numbers import EXP_ONE

__all__ = ["AttentionFactors"]

#: The pattern of EXP_ONE, 2**16.
EXP_ONE_FLOAT = (127 + EXP_ONE.bit_length() - 1) << 23


class Phase(enum.Enum):
    """What is waited for: a largest value scale, a sum of exponentials, its float; rows go to the divider; quotients come."""

    IDLE = 0
    SCALE = 1
    SUM = 2
    FLOAT = 3
    LAUNCH = 4
    DIVIDE = 5


class AttentionFactors(wiring.Component):
    """``inverse = 65536 / largest scale`` of each head, then of each ``factor = largest scale / sum``.

    ============  =====================================================
    Computes      the two ``div`` of ``attention``
    Latency       2 + rows + ``DIVIDE`` cycles from ``scanned`` to ``inverted``; 3 + ``AttentionConvert.FLOAT`` + rows +
                  ``DIVIDE`` from ``summed`` to ``factored``
    Throughput    one divider serves the rows in turn, one a cycle
    Stall         waits for the converters and until ``inverse`` was taken
    ============  =====================================================

    Parameters
    ----------
    sizes : AttentionSizes

    Members
    -------
    start : In(1)
        Begin a command.
    scanned : In(2)
        From the next cycle on ``largest_scale`` of the head is known. The results of a row that sees nothing do not matter.
    inverted : Out(1)
        ``inverse`` is that of the next head, until it is ``taken``.
    summed : In(1)
        The sum of exponentials of the next head is complete.
    may_convert, convert
        The converters take a sum in this cycle if both are 1; ``floats`` has it ``AttentionConvert.FLOAT`` enabled clocks
        later.
    en : In(1)
        The converters move.
    waiting : Out(1)
        A complete sum was not converted yet.
    asks : Out(1)
        The sum is converted as soon as the converters move; no column may be.
    factored : Out(2)
        ``factor`` of the head is known.

    """

    DIVIDE = 1 + FloatQuotient.LATENCY

    def __init__(self, *, sizes: AttentionSizes):
        self.sizes = sizes
        both = data.ArrayLayout(sizes.floats, 2)
        super().__init__({
            "start": In(1), "paired": In(1),
            "scanned": In(2), "largest_scale": In(both),
            "inverted": Out(1), "inverse": Out(sizes.floats), "taken": In(1),
            "summed": In(1), "waiting": Out(1), "may_convert": In(1), "asks": Out(1), "convert": Out(1), "en": In(1),
            "floats": In(sizes.floats), "factored": Out(2), "factor": Out(both),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        rows = self.sizes.rows
        phase, second, inverting = Signal(Phase), Signal(), Signal()
        known, clocks, row = Signal(2), Signal(range(AttentionConvert.FLOAT + 1)), Signal(range(max(2, rows)))
        converted = Signal()  # `clocks` are all that it takes
        sums = Signal(self.sizes.floats, reset_less=True)
        launching, last_row = phase == Phase.LAUNCH, row == rows - 1
        summing = Signal()    # phase is SUM
        arrived = delay(m, launching, name="arrived", cycles=self.DIVIDE)
        last_arrived = register(m, last_row, name="last_arrived", cycles=self.DIVIDE)

        m.d.comb += [self.asks.eq(summing & self.waiting & self.may_convert), self.convert.eq(self.asks & self.en)]
        m.d.sync += known.eq(known | self.scanned)
        with m.If(self.taken):
            m.d.sync += self.inverted.eq(0)
        with m.If(self.summed):
            m.d.sync += self.waiting.eq(1)

        with m.Switch(phase):
            with m.Case(Phase.SCALE):
                with m.If(Mux(second, known[1], known[0]) & ~self.inverted):
                    m.d.sync += phase.eq(Phase.LAUNCH)
            with m.Case(Phase.SUM):
                m.d.sync += [inverting.eq(0), clocks.eq(0), converted.eq(0)]
                with m.If(self.convert):
                    m.d.sync += [phase.eq(Phase.FLOAT), summing.eq(0), self.waiting.eq(0)]
            with m.Case(Phase.FLOAT):
                with m.If(self.en):
                    m.d.sync += [clocks.eq(clocks + 1), converted.eq(clocks == AttentionConvert.FLOAT - 1)]
                with m.If(clocks == AttentionConvert.FLOAT - 1):
                    m.d.sync += sums.eq(self.floats)
                with m.If(converted):
                    m.d.sync += phase.eq(Phase.LAUNCH)
            with m.Case(Phase.LAUNCH):
                m.d.sync += row.eq(row + 1)
                with m.If(last_row):
                    m.d.sync += [phase.eq(Phase.DIVIDE), row.eq(0)]
            with m.Case(Phase.DIVIDE):
                with m.If(arrived & last_arrived):
                    # Both inverses come before the first factor.
                    m.d.sync += [second.eq(self.paired & ~second), phase.eq(Phase.SUM), summing.eq(1)]
                    with m.If(inverting):
                        m.d.sync += self.inverted.eq(1)
                        with m.If(self.paired & ~second):
                            m.d.sync += [phase.eq(Phase.SCALE), summing.eq(0)]
                    with m.Else():
                        m.d.sync += self.factored.eq(self.factored | Cat(~second, second))
        with m.If(self.start):
            m.d.sync += [phase.eq(Phase.SCALE), summing.eq(0), inverting.eq(1), row.eq(0), second.eq(0), known.eq(0),
                         self.factored.eq(0), self.inverted.eq(0), self.waiting.eq(0)]

        m.submodules.divider = divider = FloatQuotient()
        scale = Mux(second, Array(self.largest_scale[1])[row], Array(self.largest_scale[0])[row])
        m.d.comb += [
            divider.en.eq(1),
            divider.a.eq(register(m, Mux(inverting, EXP_ONE_FLOAT, scale), name="dividend")),
            divider.b.eq(register(m, Mux(inverting, scale, Array(sums)[row]), name="divisor")),
        ]
        # Quotients come in the order of the rows, so they are shifted in.
        factors = [(self.factor[head], ~inverting & (second == head)) for head in (0, 1)]
        for results, mine in ((self.inverse, inverting), *factors):
            with m.If(arrived & mine):
                m.d.sync += [results[n].eq(results[n + 1]) for n in range(rows - 1)]
                m.d.sync += results[rows - 1].eq(divider.y)
        return m
