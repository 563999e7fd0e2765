"""A cascade of multipliers: one row's share of the lanes of :class:`terntable.hw.int8_array.Int8Array`.

The arithmetic is defined by the array's twin, :mod:`terntable.models.golden.int8_array`.
"""

from amaranth.hdl import C, Cat, ClockSignal, Instance, Module, Mux, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["ACC_BITS", "DIRECT_BITS", "SHADOW_BITS", "STEP", "WEIGHT_BITS", "XILINX", "DspChain", "check_acc_bits"]

WEIGHT_BITS = 8

#: Bits of a stationary activation and of one that comes with its weight.
SHADOW_BITS, DIRECT_BITS = 16, 17

#: Bits of a multiplier block's accumulator.
ACC_BITS = 48

#: `platform` for which the blocks are DSP48E2 primitives instead of plain logic.
XILINX = "xcup"

#: What an accumulator adds up: the product, the sum of the lane before, its own value.
STEP = data.StructLayout({"product": 1, "chain": 1, "keep": 1})


def check_acc_bits(acc_bits: int) -> None:
    """ValueError unless an accumulator of so many bits holds a product and fits a multiplier block."""
    if not WEIGHT_BITS + DIRECT_BITS <= acc_bits <= ACC_BITS:
        raise ValueError(f"acc_bits must be {WEIGHT_BITS + DIRECT_BITS}..{ACC_BITS}, not {acc_bits!r}")


class DspChain(wiring.Component):
    """``length`` lanes, each with its accumulator P; lane 0 begins the cascade.

    ============  =====================================================
    Computes      P = (product ? weight * act : 0) + (chain ? P of the lane before : keep ? P : 0)
    Latency       3 enabled clocks from ``weight`` to P; ``step`` belongs a clock later than its weight, ``write`` two
    Throughput    one per enabled clock
    Widths        products 25 bits; P ``acc_bits``, which wraps
    Stall         stands still while ``en`` is low, but for ``load``
    ============  =====================================================

    One DSP48E2 is one lane: A1 the shadow, A2 the active activation, AD the operand, then B, M and P.

    Parameters
    ----------
    length : int
        Lanes.
    acc_bits : int
        Bits of P that are looked at, at most ACC_BITS.

    Members
    -------
    en : In(1)
    weight : In(signed(8) x length)
    direct : In(length)
        The lane multiplies ``direct_act``, not its active activation.
    direct_act : In(signed(17) x length)
    take : In(length)
        The shadow becomes active.
    load : In(length)
        ``load_data`` becomes the lane's shadow, whatever ``en`` is.
    load_data : In(signed(16))
    step : In(STEP x length)
    write : In(length)
        P takes its new value.
    total : Out(signed(acc_bits))
        P of the last lane.

    """

    LATENCY = 3

    def __init__(self, *, length: int, acc_bits: int) -> None:
        if type(length) is not int or length < 1:
            raise ValueError(f"length must be a positive integer, not {length!r}")
        check_acc_bits(acc_bits)
        self.length, self.acc_bits = length, acc_bits
        super().__init__({
            "en": In(1),
            "weight": In(data.ArrayLayout(signed(WEIGHT_BITS), length)),
            "direct": In(length),
            "direct_act": In(data.ArrayLayout(signed(DIRECT_BITS), length)),
            "take": In(length),
            "load": In(length),
            "load_data": In(signed(SHADOW_BITS)),
            "step": In(data.ArrayLayout(STEP, length)),
            "write": In(length),
            "total": Out(signed(acc_bits)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        lane = self._primitive if platform == XILINX else self._logic
        before: Value = C(0, ACC_BITS)
        for n in range(self.length):
            before = lane(m, n, before)
        m.d.comb += self.total.eq(before)
        return m

    def _logic(self, m: Module, n: int, before: Value) -> Value:
        """Lane `n` as registers and operators; `before` is the sum of the lane before."""
        shadow = Signal(signed(SHADOW_BITS), name=f"shadow_{n}", reset_less=True)
        active = Signal(signed(SHADOW_BITS), name=f"active_{n}", reset_less=True)
        act = Signal(signed(DIRECT_BITS), name=f"act_{n}", reset_less=True)
        weight = Signal(signed(WEIGHT_BITS), name=f"weight_{n}", reset_less=True)
        product = Signal(signed(WEIGHT_BITS + DIRECT_BITS), name=f"product_{n}", reset_less=True)
        step = Signal(STEP, name=f"step_{n}", reset_less=True)
        total = Signal(signed(self.acc_bits), name=f"total_{n}", reset_less=True)
        with m.If(self.load[n]):
            m.d.sync += shadow.eq(self.load_data)
        with m.If(self.en):
            with m.If(self.take[n]):
                m.d.sync += active.eq(shadow)
            m.d.sync += [
                act.eq(Mux(self.direct[n], self.direct_act[n], active)), weight.eq(self.weight[n]),
                product.eq(act * weight), step.eq(self.step[n]),
            ]
            with m.If(self.write[n]):
                m.d.sync += total.eq(Mux(step.product, product, 0)
                                     + Mux(step.chain, before.as_signed(), Mux(step.keep, total, 0)))
        return total

    def _primitive(self, m: Module, n: int, before: Value) -> Value:
        """Lane `n` as a DSP48E2; `before` is the cascade input."""
        total, cascade = Signal(signed(ACC_BITS), name=f"total_{n}"), Signal(ACC_BITS, name=f"cascade_{n}")
        step, zero = self.step[n], C(0, 1)
        chained = {"i_PCIN": before} if n else {}
        m.submodules[f"dsp_{n}"] = Instance(
            "DSP48E2",
            p_AREG=2, p_ACASCREG=2, p_BREG=1, p_BCASCREG=1, p_DREG=0, p_ADREG=1, p_CREG=1, p_MREG=1, p_PREG=1,
            p_INMODEREG=0, p_OPMODEREG=1, p_ALUMODEREG=0, p_CARRYINREG=0, p_CARRYINSELREG=0,
            p_AMULTSEL="AD", p_BMULTSEL="B", p_PREADDINSEL="A", p_USE_MULT="MULTIPLY", p_USE_SIMD="ONE48",
            i_CLK=ClockSignal(),
            i_A=Cat(self.load_data, self.load_data[-1].replicate(30 - SHADOW_BITS)),
            i_B=Cat(self.weight[n], self.weight[n][-1].replicate(18 - WEIGHT_BITS)),
            i_D=Cat(self.direct_act[n], self.direct_act[n][-1].replicate(27 - DIRECT_BITS)),
            i_C=C(0, 48), i_CARRYIN=zero, i_CARRYINSEL=C(0, 3), i_ALUMODE=C(0, 4),
            # A2 or D into the pre-adder, the other one gated to zero.
            i_INMODE=Cat(zero, self.direct[n], self.direct[n], C(0, 2)),
            # X and Y are the two halves of the product; Z is the cascade or P; W is zero.
            i_OPMODE=Cat(step.product, zero, step.product, zero, step.chain if n else zero, step.keep, C(0, 3)),
            i_CEA1=self.load[n], i_CEA2=self.en & self.take[n], i_CEB1=zero, i_CEB2=self.en, i_CED=zero,
            i_CEAD=self.en, i_CEM=self.en, i_CEP=self.en & self.write[n], i_CEC=zero, i_CECTRL=self.en,
            i_CEALUMODE=zero, i_CECARRYIN=zero, i_CEINMODE=zero,
            **{f"i_RST{name}": zero for name in ("A", "B", "C", "D", "M", "P", "CTRL", "ALUMODE", "ALLCARRYIN", "INMODE")},
            o_P=total, o_PCOUT=cascade, **chained,
        )
        return total if n == self.length - 1 else cascade
