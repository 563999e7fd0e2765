"""The largest magnitude of each row, and whether any value was INVALID.

The arithmetic is defined by its twin, :func:`terntable.models.golden.float32.maximum_magnitude`.
"""

from amaranth.hdl import Cat, Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from terntable.hw.kernel import delay, register
from terntable.hw.shapes import columns, per_row

__all__ = ["Largest"]


class Largest(wiring.Component):
    """Watches words of `lanes` columns x `rows` rows.

    ============  =====================================================
    Computes      ``maximum_magnitude`` of each row
    Latency       ``LATENCY`` cycles from a word to ``amax`` and ``invalid``
    Throughput    one word per cycle
    Widths        float32 patterns
    Stall         never
    ============  =====================================================

    Parameters
    ----------
    rows : int
    lanes : int
        A power of two.

    Members
    -------
    clear : In(1)
        ``invalid`` falls back to zero, and with ``track`` so does ``amax``; no word is on its way.
    track : In(1)
        Static from ``clear`` on: ``amax`` is kept.
    valid, word : In
    amax : Out(32 x rows)
    invalid : Out(1)

    """

    def __init__(self, *, rows: int, lanes: int):
        self.rows, self.lanes = rows, lanes
        self.LATENCY = exact_log2(lanes) + 1
        row = per_row(rows=rows)
        super().__init__({
            "clear": In(1), "track": In(1), "valid": In(1), "word": In(columns(rows=rows, lanes=lanes)),
            "amax": Out(row), "invalid": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.d.sync += self.invalid.eq((self.invalid | (delay(m, self.valid, name="seen") & register(
            m, Cat(item[23:31].all() for lane in self.word for item in lane).any(), name="bad"))) & ~self.clear)
        valid = delay(m, self.valid & self.track, name="valid_held", cycles=self.LATENCY - 1)
        for row in range(self.rows):
            # Without their sign, patterns order as integers. Lanes meet in pairs, a stage a time.
            values = [self.word[lane][row][:31] for lane in range(self.lanes)]
            while len(values) > 1:
                stage = len(values)
                values = [register(m, Mux(one > other, one, other), name=f"largest_{row}_{stage}")
                          for one, other in zip(values[::2], values[1::2], strict=True)]
            with m.If(self.clear & self.track):
                m.d.sync += self.amax[row].eq(0)
            with m.Elif(valid & (values[0] > self.amax[row][:31])):
                m.d.sync += self.amax[row].eq(values[0])
        return m
