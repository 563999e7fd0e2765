"""From the head's integer sums to logits, one token row after the other.

The arithmetic is defined by the head's twin, :mod:`terntable.models.golden.head`.
"""

from amaranth.hdl import C, Cat, Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from terntable.hw.float_from_int import FloatFromInt
from terntable.hw.float_mul import FloatMul
from terntable.hw.kernel import delay, register
from terntable.hw.shapes import per_row

__all__ = ["LOGIT", "HeadLogits"]

#: A logit: its vocabulary and token row; whether that is the last token row, and the last of all; whether the vocabulary row
#: only fills up a block.
LOGIT = data.StructLayout({"index": 32, "row": 8, "logit": 32, "end": 1, "last": 1, "padding": 1})

#: Logits that may wait to be taken; more than the pipe holds.
QUEUE = 32


class HeadLogits(wiring.Component):
    """``mul(from_int(sum), mul(scale, d[row]))`` of each row of the pass, vocabulary row by vocabulary row.

    ============  =====================================================
    Computes      the floating-point part of ``logits``
    Latency       ``LATENCY`` cycles from ``sums.valid`` to ``o.valid``
    Throughput    one logit per cycle
    Widths        sums of `bits` bits to float32
    Stall         a queue of QUEUE logits, and no more than that are on their way
    ============  =====================================================

    Parameters
    ----------
    rows, bits : token rows, and the width of a sum.
    block : vocabulary rows that come together.
    depth : scales that may wait for their sums, a power of two.
    max_vocab : largest vocabulary.

    Members
    -------
    start, vocab : a pulse begins a vocabulary of so many rows.
    count : token rows of the pass.
    d : their dequantisation scales.
    scale_valid, scale : In(1), In(32)
        The next vocabulary row's scale, before its sums.
    sums : In(stream of signed(bits) x rows)
    o : Out(stream of LOGIT)

    """

    LATENCY = 3 + max(FloatFromInt.LATENCY, FloatMul.LATENCY) + FloatMul.LATENCY

    def __init__(self, *, rows: int, bits: int, block: int, depth: int, max_vocab: int) -> None:
        if depth < 1 or depth & (depth - 1):
            raise ValueError(f"depth must be a power of two, not {depth!r}")
        self.rows, self.bits, self.block, self.depth = rows, bits, block, depth
        self.index_bits = (max_vocab + block).bit_length()
        self.place = data.StructLayout({"index": self.index_bits, "row": range(max(2, rows)), "end": 1, "last": 1, "padding": 1})
        super().__init__({
            "start": In(1), "vocab": In(32), "count": In(8), "d": In(per_row(rows=rows)),
            "scale_valid": In(1), "scale": In(32),
            "sums": In(stream.Signature(data.ArrayLayout(signed(bits), rows))),
            "o": Out(stream.Signature(LOGIT)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        shift = exact_log2(self.block)
        m.submodules.scales = scales = SyncFIFO(width=32, depth=self.depth)
        # One more than a power of two, as the last place of this kind of queue is its output register.
        m.submodules.queue = queue = SyncFIFOBuffered(width=self.place.size + 32, depth=QUEUE + 1)

        # Where the next logit lies. The vocabulary ends with a whole block.
        row, index = Signal(range(max(2, self.rows))), Signal(self.index_bits)
        vocab, last_index = Signal(self.index_bits), Signal(self.index_bits)
        last_row, before_top, single = Signal(), Signal.like(row), Signal()
        issue, room, pending = Signal(), Signal(), Signal(range(QUEUE + 1))
        m.d.sync += before_top.eq(self.count - 2)
        m.d.comb += [
            single.eq(self.count == 1),
            issue.eq(self.sums.valid & room), self.sums.ready.eq(room & last_row),
            scales.w_en.eq(self.scale_valid), scales.w_data.eq(self.scale), scales.r_en.eq(issue & last_row),
        ]
        with m.If(self.start):
            m.d.sync += [
                row.eq(0), last_row.eq(single), index.eq(0), vocab.eq(self.vocab),
                last_index.eq(Cat(C(-1, shift), (self.vocab - 1)[shift:])),
            ]
        with m.Elif(issue):
            m.d.sync += [row.eq(row + 1), last_row.eq(row == before_top)]
            with m.If(last_row):
                m.d.sync += [row.eq(0), last_row.eq(single), index.eq(index + 1)]

        place = Signal(self.place)
        m.d.comb += [place.index.eq(index), place.row.eq(row), place.end.eq(last_row),
                     place.last.eq(last_row & (index == last_index)), place.padding.eq(index >= vocab)]

        # One row of the sums and its scales, then both factors, then their product.
        m.submodules.convert = convert = FloatFromInt(width=self.bits)
        m.submodules.factor = factor = FloatMul()
        m.submodules.product = product = FloatMul()
        longest = max(FloatFromInt.LATENCY, FloatMul.LATENCY)
        m.d.comb += [
            *(kernel.en.eq(1) for kernel in (convert, factor, product)),
            convert.a.eq(register(m, self.sums.payload[row], name="sum")),
            factor.a.eq(register(m, scales.r_data, name="scale_held")),
            factor.b.eq(register(m, self.d[row], name="d_held")),
            product.a.eq(register(m, convert.y, name="number", cycles=longest - FloatFromInt.LATENCY)),
            product.b.eq(register(m, factor.y, name="scaled", cycles=longest - FloatMul.LATENCY)),
        ]

        # The pipe never stands still; `pending` logits are in it or in the queue.
        placed = register(m, place.as_value(), name="placed", cycles=self.LATENCY - 2)
        m.d.comb += [
            queue.w_en.eq(delay(m, issue, name="valid", cycles=self.LATENCY - 2)), queue.w_data.eq(Cat(placed, product.y)),
            queue.r_en.eq(self.o.ready), self.o.valid.eq(queue.r_rdy),
            self.o.payload.logit.eq(queue.r_data[self.place.size:]),
        ]
        shown = data.View(self.place, queue.r_data[:self.place.size])
        m.d.comb += [self.o.payload[name].eq(shown[name]) for name in self.place.members]
        m.d.sync += [pending.eq(pending + issue - (self.o.valid & self.o.ready)), room.eq(pending < QUEUE - 1)]
        return m
