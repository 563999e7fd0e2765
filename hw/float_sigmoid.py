"""Float32 logistic function, from the exponential, a sum and a reciprocal.

The arithmetic is defined by its twin, :func:`terntable.models.golden.float_sigmoid.float_sigmoid`.
"""

from amaranth.hdl import C, Cat, Module, Mux
from amaranth.lib.wiring import In, Out

from terntable.hw.float_add import FloatAdd
from terntable.hw.float_exp import FloatExp
from terntable.hw.float_reciprocal import FloatReciprocal
from terntable.hw.kernel import Kernel

__all__ = ["FloatSigmoid"]

#: Patterns of 1, and of 88: beyond it the result is 0 or 1 anyway, and the exponential would overflow.
ONE = 0x3F800000
LIMIT = 0x42B00000


class FloatSigmoid(Kernel):
    """``y = 1 / (1 + exp(-a))``, within 2.75 units in the last place

    ============  =====================================================
    Computes      ``float_sigmoid``
    Latency       ``LATENCY`` enabled clocks
    Throughput    one per enabled clock
    Widths        float32 patterns
    Stall         stands still while ``en`` is low
    ============  =====================================================

    Members
    -------
    a : In(32)
    y : Out(32)

    """

    LATENCY = FloatExp.LATENCY + FloatAdd.LATENCY + FloatReciprocal.LATENCY

    def __init__(self):
        super().__init__({"a": In(32), "y": Out(32)})

    def pipeline(self, m: Module) -> None:
        m.submodules.exp = exp = FloatExp()
        m.submodules.add = add = FloatAdd()
        m.submodules.reciprocal = reciprocal = FloatReciprocal()
        # The limit has zeros below bit 20, and may itself be replaced, so that these do not count.
        beyond = (self.a[20:31] >= LIMIT >> 20) & ~self.a[23:31].all()
        m.d.comb += [
            exp.en.eq(1), add.en.eq(1), reciprocal.en.eq(1),
            exp.a.eq(Cat(Mux(beyond, C(LIMIT, 31), self.a[:31]), ~self.a[31])),
            add.a.eq(ONE),
            add.b.eq(exp.y),
            reciprocal.a.eq(add.y),
            self.y.eq(reciprocal.y),
        ]
