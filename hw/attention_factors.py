"""The divisions of attention: what values are scaled with, before and after they are summed up.

The arithmetic is defined by its twin, :func:`terntable.models.golden.attention.attention`.
"""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from terntable.hw.attention_sizes import AttentionSizes, ScalePort, unorder
from terntable.hw.float_divide import FloatDivide
from terntable.hw.kernel import delay

__all__ = ["AttentionFactors"]

#: The patterns of 65536 and of 1.
EXP_ONE, ONE = 0x47800000, 0x3F800000


class AttentionFactors(wiring.Component):
    """``inverse = 65536 / largest scale``, then for each head ``factor = largest scale / sum``.

    ============  =====================================================
    Computes      the two ``div`` of ``attention``
    Latency       ``INVERT_LATENCY`` from ``invert`` to ``inverted``; from ``divide`` to ``divided``
                  ``DIVIDE_LATENCY`` + heads x ``PERIOD``
    Throughput    a division for each row at a time
    Widths        float32
    Stall         none
    ============  =====================================================

    Parameters
    ----------
    sizes : AttentionSizes

    Members
    -------
    largest_scale : In
        As an order key; 0 for a row that sees nothing, whose results do not matter.
    invert, divide : In(1)
        Begin.
    inverted, divided : Out(1)
        In the last cycle of the work: results show from the next one on.
    sum_head, sum
        Head whose sum of exponentials is wanted in the same cycle.
    scale : Out(ScalePort)
        Makes floats of the sums.
    factor_head, factor
        Head whose factor shows in the same cycle.

    """

    INVERT_LATENCY = FloatDivide.LATENCY + 1
    PERIOD = FloatDivide.LATENCY + 1
    DIVIDE_LATENCY = ScalePort.LATENCY + 1

    def __init__(self, *, sizes: AttentionSizes):
        self.sizes = sizes
        words = data.ArrayLayout(32, sizes.rows)
        head = range(sizes.max_group)
        super().__init__({
            "job": In(sizes.job),
            "largest_scale": In(words),
            "invert": In(1),
            "inverted": Out(1),
            "inverse": Out(words),
            "divide": In(1),
            "divided": Out(1),
            "sum_head": Out(head),
            "sum": In(data.ArrayLayout(sizes.exponential_bits, sizes.rows)),
            "scale": Out(ScalePort(rows=sizes.rows, width=sizes.scale_bits)),
            "factor_head": In(head),
            "factor": Out(words),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        sizes, rows, job = self.sizes, range(self.sizes.rows), self.job
        head_shape = range(sizes.max_group)

        # Sums become floats, head after head. The first of them starts the divisions.
        Flags = data.StructLayout({"valid": 1, "head": head_shape})
        flags = Signal(Flags)
        converting, inverting, dividing = Signal(), Signal(), Signal()
        with m.If(self.divide):
            m.d.sync += [converting.eq(1), self.sum_head.eq(0)]
        with m.Elif(converting):
            m.d.sync += [converting.eq(self.sum_head != job.heads - 1), self.sum_head.eq(self.sum_head + 1)]
        m.d.comb += [flags.valid.eq(converting), flags.head.eq(self.sum_head)]
        m.d.comb += [a.eq(total) for a, total in zip(self.scale.a, self.sum, strict=True)]
        m.d.comb += [b.eq(ONE) for b in self.scale.b]
        m.d.comb += self.scale.en.eq(1)
        converted = delay(m, flags, name="converted", cycles=ScalePort.LATENCY)

        # All rows divide in step, so the handshake of one stands for all.
        head = Signal(head_shape)
        dividers = [FloatDivide() for _ in rows]
        given, taken = dividers[0].i, dividers[0].o
        last = head == job.heads - 1
        m.d.comb += [
            self.inverted.eq(inverting & taken.valid),
            self.divided.eq(dividing & taken.valid & last),
        ]
        offer = Signal()
        with m.If(self.invert):
            m.d.sync += [inverting.eq(1), offer.eq(1)]
        with m.Elif(converted.valid & (converted.head == 0)):
            m.d.sync += [dividing.eq(1), offer.eq(1), head.eq(0)]
        with m.Elif(offer & given.ready):
            m.d.sync += offer.eq(0)
        with m.Elif(taken.valid):
            m.d.sync += [inverting.eq(0), head.eq(head + 1)]
            m.d.sync += [dividing.eq(dividing & ~last), offer.eq(dividing & ~last)]

        for row, divider in enumerate(dividers):
            m.submodules[f"divider_{row}"] = divider
            m.submodules[f"sums_{row}"] = sums = Memory(shape=32, depth=sizes.max_group, init=[])
            m.submodules[f"factors_{row}"] = factors = Memory(shape=32, depth=sizes.max_group, init=[])
            sum_write, sum_read = sums.write_port(), sums.read_port(domain="comb")
            factor_write, factor_read = factors.write_port(), factors.read_port(domain="comb")
            scale = unorder(self.largest_scale[row])
            m.d.comb += [
                sum_write.addr.eq(converted.head), sum_write.en.eq(converted.valid),
                sum_write.data.eq(self.scale.y[row]), sum_read.addr.eq(head),
                divider.i.payload.a.eq(Mux(inverting, EXP_ONE, scale)),
                divider.i.payload.b.eq(Mux(inverting, scale, sum_read.data)),
                divider.i.valid.eq(offer), divider.o.ready.eq(1),
                factor_write.addr.eq(head), factor_write.en.eq(dividing & taken.valid),
                factor_write.data.eq(divider.o.payload),
                factor_read.addr.eq(self.factor_head), self.factor[row].eq(factor_read.data),
            ]
            with m.If(inverting & taken.valid):
                m.d.sync += self.inverse[row].eq(divider.o.payload)
        return m
