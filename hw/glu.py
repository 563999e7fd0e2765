"""The gated activation: a few units that take the rows of a column in turn.

The arithmetic is defined by its twin, :func:`terntable.models.golden.lanes.glu`.
"""

from amaranth.hdl import Array, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from terntable.hw.float_mul import FloatMul
from terntable.hw.float_sigmoid import FloatSigmoid
from terntable.hw.kernel import Kernel, register
from terntable.hw.shapes import per_row

__all__ = ["Glu"]


class Glu(Kernel):
    """``y = activation(g) * u``, with ``activation(g)`` either ``max(g, 0)**2`` or ``g * sigmoid(g)``

    ============  =====================================================
    Computes      ``glu`` of the twin, from ``g`` and ``u`` on
    Latency       ``LATENCY`` enabled clocks
    Throughput    ``units`` rows per enabled clock, a column per ``turns``
    Widths        float32 patterns
    Stall         stands still while ``en`` is low
    ============  =====================================================

    Parameters
    ----------
    rows : int
    units : int
        Activations at a time, at most ``rows``.

    Members
    -------
    silu : In(1)
        The same for all values on their way.
    turn : In(range(turns))
        Row ``turn * units + k`` goes to unit ``k``; past the last row, ``y`` means nothing.
    g, u : In(32 x rows)
    y : Out(32 x units)

    Attributes
    ----------
    turns : int

    """

    LATENCY = 1 + FloatSigmoid.LATENCY + 2 * FloatMul.LATENCY

    def __init__(self, *, rows: int, units: int):
        if type(rows) is not int or rows < 1:
            raise ValueError(f"rows must be a positive integer, not {rows!r}")
        if type(units) is not int or not 1 <= units <= rows:
            raise ValueError(f"units must be 1..{rows}, not {units!r}")
        self.rows, self.units = rows, units
        self.turns = -(-rows // units)
        row = per_row(rows=rows)
        super().__init__({
            "silu": In(1), "turn": In(range(max(2, self.turns))), "g": In(row), "u": In(row),
            "y": Out(data.ArrayLayout(32, units)),
        })

    def pipeline(self, m: Module) -> None:
        for unit in range(self.units):
            m.submodules[f"sigmoid_{unit}"] = sigmoid = FloatSigmoid()
            m.submodules[f"activate_{unit}"] = activate = FloatMul()
            m.submodules[f"gate_{unit}"] = gate = FloatMul()
            m.d.comb += [kernel.en.eq(1) for kernel in (sigmoid, activate, gate)]

            g, u = (register(m, self._chosen(values, unit), name=f"{name}_{unit}")
                    for name, values in (("g", self.g), ("u", self.u)))
            later = register(m, g, name=f"g_{unit}_held", cycles=FloatSigmoid.LATENCY)
            clipped = Signal(32, name=f"clipped_{unit}")
            m.d.comb += [
                sigmoid.a.eq(g),
                clipped.eq(Mux(later[-1] & ~self.silu, 0, later)),
                activate.a.eq(clipped), activate.b.eq(Mux(self.silu, sigmoid.y, clipped)),
                gate.a.eq(activate.y),
                gate.b.eq(register(m, u, name=f"u_{unit}_held", cycles=FloatSigmoid.LATENCY + FloatMul.LATENCY)),
                self.y[unit].eq(gate.y),
            ]

    def _chosen(self, values: data.View, unit: int) -> Signal:
        rows = [values[min(turn * self.units + unit, self.rows - 1)] for turn in range(self.turns)]
        return Array(rows)[self.turn] if self.turns > 1 else rows[0]
