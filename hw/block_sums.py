"""Accumulators of a block of outputs: tile after tile is added up, and the last one's sums leave.

Part of the product that :func:`terntable.models.golden.tlmm.ternary_matmul` defines.
"""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.shapes import integers
from terntable.hw.table_builder import add_or_subtract

__all__ = ["BlockSums", "cell_layout"]


def cell_layout(words: int) -> data.StructLayout:
    """A cell of a block: which word it belongs to, and whether its tile is the block's first and last."""
    return data.StructLayout({"valid": 1, "first": 1, "last": 1, "word": range(max(2, words))})


class BlockSums(wiring.Component):
    """``sum[word] = sum[word] + term``, or ``term`` alone in the first tile; sums of the last tile go out instead.

    ============  ==========================================================================
    Computes      part of ``ternary_matmul``
    Latency       ``LATENCY`` cycles from ``i`` to ``o``; ``terms`` come a cycle after ``i``
    Throughput    one cell per cycle; the same word again from ``TURNAROUND`` cycles on
    Widths        sums of ``sum_bits`` bits, as many as the caller needs
    Stall         none
    ============  ==========================================================================

    Parameters
    ----------
    rows, outputs, words : int
        Token rows, outputs of a word, and words of a block.
    term_bits, sum_bits : int
        Widths of a term and of a sum, at least as wide.

    Members
    -------
    i : In
        The cell.
    terms : In
        Its terms or their opposites, in the next cycle.
    negate : In
        With the terms, a bit for each output: they are opposites.
    valid : Out(1)
        High for one cycle when ``o`` holds sums of a last tile.
    o : Out
        Those sums.

    """

    LATENCY = 2
    TURNAROUND = 3

    def __init__(self, *, rows: int, outputs: int, words: int, term_bits: int, sum_bits: int):
        for name, value in (("rows", rows), ("outputs", outputs), ("words", words), ("term_bits", term_bits)):
            if type(value) is not int or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        if type(sum_bits) is not int or sum_bits < term_bits:
            raise ValueError(f"sum_bits must be an integer of at least term_bits = {term_bits}, not {sum_bits!r}")
        self.rows, self.outputs, self.words, self.term_bits, self.sum_bits = rows, outputs, words, term_bits, sum_bits
        super().__init__({
            "i": In(cell_layout(words)),
            "terms": In(integers(rows=rows, lanes=outputs, width=term_bits)),
            "negate": In(outputs),
            "valid": Out(1),
            "o": Out(integers(rows=rows, lanes=outputs, width=sum_bits)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        word = integers(rows=self.rows, lanes=self.outputs, width=self.sum_bits)
        # One word would leave an address of no bits, which Verilog does not know.
        sums: memory.Memory = memory.Memory(shape=word, depth=max(2, self.words), init=[])
        m.submodules.sums = sums
        read, write = sums.read_port(domain="comb"), sums.write_port()
        adding, writing = Signal.like(self.i), Signal.like(self.i)
        m.d.sync += [adding.eq(self.i), writing.eq(adding)]
        m.d.comb += [
            read.addr.eq(self.i.word),
            write.addr.eq(writing.word),
            write.data.eq(self.o),
            write.en.eq(writing.valid),
            self.valid.eq(writing.valid & writing.last),
        ]
        for output in range(self.outputs):
            for row in range(self.rows):
                # A signal for each sum: simulators take slices of wide ones apart bit by bit.
                before = Signal(signed(self.sum_bits), name=f"before_{output}_{row}", reset_less=True)
                total = Signal(signed(self.sum_bits), name=f"total_{output}_{row}", reset_less=True)
                m.d.sync += [
                    before.eq(Mux(self.i.first, 0, read.data[output][row])),
                    total.eq(add_or_subtract(before, self.terms[output][row], self.negate[output])),
                ]
                m.d.comb += self.o[output][row].eq(total)
        return m
