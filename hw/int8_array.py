"""The shared multipliers: one INT8 vector times a vector for each row.

The arithmetic is defined by its twin, :func:`terntable.models.golden.int8_array.int8_array`.
"""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["ArrayPort", "Int8Array"]

WEIGHT_BITS = 8

#: Terms that one level of the adder tree sums up between registers.
FAN_IN = 8


class ArrayPort(wiring.Signature):
    """What a user of an :class:`Int8Array` sees: it drives operands and ``en``, and reads results.

    Parameters
    ----------
    rows, lanes, act_bits : int
        As for :class:`Int8Array`.

    Attributes
    ----------
    dot_latency, product_latency : int
        Enabled clocks from the operands to ``dot`` and to ``product``.
    dot_bits, product_bits : int
        Widths of a sum and of a product, with the sign.

    """

    def __init__(self, *, rows: int, lanes: int, act_bits: int = 17):
        if rows < 1:
            raise ValueError(f"rows must be at least 1, not {rows!r}")
        if lanes < 2 or lanes & (lanes - 1):
            raise ValueError(f"lanes must be a power of two of at least 2, not {lanes!r}")
        if not 8 <= act_bits <= 18:
            raise ValueError(f"act_bits must be 8..18, what a multiplier of an FPGA takes, not {act_bits!r}")
        self.rows, self.lanes, self.act_bits = rows, lanes, act_bits
        self.product_bits = WEIGHT_BITS + act_bits
        self.dot_bits = self.product_bits + lanes.bit_length() - 1
        self.product_latency = 1
        self.dot_latency = 1 + -(-(lanes.bit_length() - 1) // (FAN_IN.bit_length() - 1))
        super().__init__({
            "en": Out(1),
            "weight": Out(data.ArrayLayout(signed(WEIGHT_BITS), lanes)),
            "act": Out(data.ArrayLayout(data.ArrayLayout(signed(act_bits), lanes), rows)),
            "dot": In(data.ArrayLayout(signed(self.dot_bits), rows)),
            "product": In(data.ArrayLayout(data.ArrayLayout(signed(self.product_bits), lanes), rows)),
        })


class Int8Array(wiring.Component):
    """``product[r][b] = weight[b] * act[r][b]``, ``dot[r]`` = sum of ``product[r]``

    ============  =====================================================
    Computes      ``int8_array``
    Latency       ``LATENCY`` enabled clocks to ``dot``, ``PRODUCT_LATENCY`` to ``product``
    Throughput    one per enabled clock
    Widths        8 and ``act_bits`` bits; results cannot overflow
    Stall         stands still while ``en`` is low
    ============  =====================================================

    Parameters
    ----------
    rows, lanes : int
        Vectors, and their length, a power of two: rows x lanes multipliers.
    act_bits : int
        Bits of an element of ``act`` with its sign, 8..18.

    Members
    -------
    en : In(1)
    weight : In(signed(8) x lanes)
    act : In(signed(act_bits) x lanes x rows)
    dot : Out(signed x rows)
    product : Out(signed(8 + act_bits) x lanes x rows)

    """

    def __init__(self, *, rows: int, lanes: int, act_bits: int = 17):
        self.port = ArrayPort(rows=rows, lanes=lanes, act_bits=act_bits)
        self.LATENCY, self.PRODUCT_LATENCY = self.port.dot_latency, self.port.product_latency
        super().__init__({name: member.flip() for name, member in self.port.members.items()})

    def elaborate(self, platform) -> Module:
        m = Module()
        for row in range(self.port.rows):
            terms: list[Value] = []
            for lane in range(self.port.lanes):
                product = Signal(signed(self.port.product_bits), name=f"product_{row}_{lane}",
                                 reset_less=True)
                m.d.sync += product.eq(self.weight[lane] * self.act[row][lane])
                m.d.comb += self.product[row][lane].eq(product)
                terms.append(product)
            while len(terms) > 1:
                sums = []
                for first in range(0, len(terms), FAN_IN):
                    some = terms[first:first + FAN_IN]
                    total = Signal(signed(self.port.dot_bits), reset_less=True,
                                   name=f"sum_{row}_{len(terms)}_{first}")
                    m.d.sync += total.eq(sum(some[1:], some[0]))
                    sums.append(total)
                terms = sums
            m.d.comb += self.dot[row].eq(terms[0])
        return EnableInserter(self.en)(m)
