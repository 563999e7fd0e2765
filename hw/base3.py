"""Bytes of five trits split into the two table addresses that they hold.

The arithmetic is defined by its twin, :func:`terntable.models.golden.base3.split_bytes`.
"""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.spec.numbers import TABLE_HIGH

__all__ = ["Base3Decode", "decoded_layout"]


def decoded_layout(beat_bytes: int, **more) -> data.StructLayout:
    """Table addresses of ``beat_bytes`` bytes, followed by the fields ``more``."""
    return data.StructLayout({
        "low": data.ArrayLayout(unsigned(5), beat_bytes),
        "high": data.ArrayLayout(unsigned(4), beat_bytes),
        **more,
    })


class Base3Decode(wiring.Component):
    """``byte = low + 27 * high`` for each byte of a beat.

    ============  =================================================================
    Computes      ``split_bytes``
    Latency       ``LATENCY`` cycles, ``i`` accepted to ``o`` valid
    Throughput    one beat per cycle
    Widths        ``low`` 5 bits (0 .. 26), ``high`` 4 bits (0 .. 9; 9 is illegal)
    Stall         stands still while ``o`` waits; ``o`` stalls ``i`` in the same cycle
    ============  =================================================================

    Parameters
    ----------
    beat_bytes : int
        Bytes of one beat.

    Members
    -------
    i : In(stream)
        The bytes, first byte lowest.
    o : Out(stream)
        ``low`` and ``high`` of each byte; ``illegal`` if any byte of the beat is 243 or more.

    """

    LATENCY = 1

    def __init__(self, *, beat_bytes: int):
        if type(beat_bytes) is not int or beat_bytes < 1:
            raise ValueError(f"beat_bytes must be a positive integer, not {beat_bytes!r}")
        self.beat_bytes = beat_bytes
        super().__init__({
            "i": In(stream.Signature(data.ArrayLayout(unsigned(8), beat_bytes))),
            "o": Out(stream.Signature(decoded_layout(beat_bytes, illegal=1))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.i.ready):
            m.d.sync += self.o.valid.eq(self.i.valid)
        illegal = Signal(self.beat_bytes)
        for n in range(self.beat_bytes):
            byte, high = self.i.p[n], Signal(4, name=f"high_{n}")
            # 19 / 512 lies just above 1 / 27, near enough for eight bits, and costs two additions.
            m.d.comb += [
                high.eq(((byte << 4) + (byte << 1) + byte) >> 9),
                illegal[n].eq(high >= TABLE_HIGH),
            ]
            with m.If(self.i.ready & self.i.valid):
                m.d.sync += [
                    self.o.p.high[n].eq(high),
                    self.o.p.low[n].eq(byte[:5] + (high << 2) + high),    # byte - 27 high, modulo 32
                ]
        with m.If(self.i.ready & self.i.valid):
            m.d.sync += self.o.p.illegal.eq(illegal.any())
        return m
