"""The converters of attention: integers become floats and are multiplied, a pair of units for each row.

The arithmetic around it is defined by the twin of attention, :func:`terntable.models.golden.attention.attention`.
"""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.attention_sizes import AttentionSizes
from terntable.hw.float_from_int import FloatFromInt
from terntable.hw.float_mul import FloatMul

__all__ = ["AttentionConvert"]


class AttentionConvert(wiring.Component):
    """``y = mul(from_int(a), b)`` for each row, for scores, sums of exponentials and columns of the output in turn.

    ============  =====================================================
    Computes      ``float_from_int`` and ``float_mul``
    Latency       1 enabled clock from an operand to ``held``, ``FLOAT`` to ``floats``, ``LATENCY`` to ``y``
    Throughput    one for each row per enabled clock
    Stall         stands still while ``en`` is low
    ============  =====================================================

    Parameters
    ----------
    sizes : AttentionSizes

    Members
    -------
    en : In(1)
    scoring, summing : In(1)
        Whose operand is taken: the score's, else the sum's, else the column's.
    score, sum, column : In
        Operands; sums are unsigned.
    score_scale, column_scale : In
        Second operands, due ``FLOAT`` clocks after the first ones.
    held, floats, y : Out
        The operand, as a float, and scaled.

    """

    FLOAT = 1 + FloatFromInt.LATENCY
    LATENCY = FLOAT + FloatMul.LATENCY

    def __init__(self, *, sizes: AttentionSizes):
        self.sizes = sizes
        super().__init__({
            "en": In(1), "scoring": In(1), "summing": In(1),
            "score": In(data.ArrayLayout(signed(sizes.score_bits), sizes.rows)),
            "sum": In(data.ArrayLayout(sizes.exponential_bits, sizes.rows)),
            "column": In(data.ArrayLayout(signed(sizes.sum_bits), sizes.rows)),
            "score_scale": In(sizes.floats), "column_scale": In(sizes.floats),
            "held": Out(data.ArrayLayout(signed(sizes.score_bits), sizes.rows)),
            "floats": Out(sizes.floats), "y": Out(sizes.floats),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        bits = self.sizes.convert_bits
        for row in range(self.sizes.rows):
            m.submodules[f"convert_{row}"] = convert = FloatFromInt(width=bits)
            m.submodules[f"multiply_{row}"] = multiply = FloatMul()
            held = Signal(signed(bits), name=f"held_{row}", reset_less=True)
            with m.If(self.en):
                m.d.sync += held.eq(Mux(self.scoring, self.score[row], Mux(self.summing, self.sum[row], self.column[row])))
            m.d.comb += [
                self.held[row].eq(held),
                convert.en.eq(self.en), multiply.en.eq(self.en),
                convert.a.eq(held), multiply.a.eq(convert.y),
                multiply.b.eq(Mux(self.scoring, self.score_scale[row], self.column_scale[row])),
                self.floats[row].eq(convert.y), self.y[row].eq(multiply.y),
            ]
        return m
