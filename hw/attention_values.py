"""The end of attention: sums of weighted values in, scaled columns out.

The arithmetic is defined by its twin, :func:`terntable.models.golden.attention.attention`.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from terntable.hw.attention_convert import AttentionConvert
from terntable.hw.attention_sizes import AttentionSizes
from terntable.hw.kernel import delay, register
from terntable.hw.shapes import columns, integers

__all__ = ["AttentionValues"]


class AttentionValues(wiring.Component):
    """Keeps the sums of a plane while they are converted column by column, and makes words of them.

    ============  =====================================================
    Computes      ``mul(from_int(sum), factor)``, +0 for rows that see nothing
    Latency       ``LATENCY`` + lanes - 1 cycles from an ``unload`` to its word when the factor is known
    Throughput    a word of sums per cycle in while there is room; a column per cycle out
    Stall         waits for the factor; the converters stand still while a word waits
    ============  =====================================================

    Parameters
    ----------
    sizes : AttentionSizes
    unload_latency, acc_bits : int
        From ``unload`` to ``columns``, and the width of these.

    Members
    -------
    start : In(1)
        A new command.
    room : Out(1)
        A useful word has room.
    unload, useful : In(1)
        A word was asked for, and it holds columns of a head.
    columns : In
        The word asked for ``unload_latency`` cycles ago.
    factored, factor, seen : In
        Per head, whether the factor is known, and the factor; the rows that see a slot.
    hold : In(1)
        The converters are not free.
    en, column, column_scale, y
        Ports of :class:`terntable.hw.attention_convert.AttentionConvert`.
    o : Out(stream)
        Words of `lanes` columns x rows, heads in order.
    last : Out(1)
        The word at ``o`` is the last one.

    """

    @staticmethod
    def latency(unload_latency: int) -> int:
        """Cycles from ``unload`` to the first column's ``y``, and the register behind that."""
        return unload_latency + 1 + AttentionConvert.LATENCY + 1

    def __init__(self, *, sizes: AttentionSizes, unload_latency: int, acc_bits: int):
        self.sizes, self.unload_latency = sizes, unload_latency
        super().__init__({
            "start": In(1), "job": In(sizes.job),
            "room": Out(1, init=1), "unload": In(1), "useful": In(1),
            "columns": In(integers(rows=sizes.rows, lanes=sizes.lanes, width=acc_bits)),
            "factored": In(2), "factor": In(data.ArrayLayout(sizes.floats, 2)), "seen": In(sizes.rows), "hold": In(1),
            "en": Out(1), "column": Out(data.ArrayLayout(signed(sizes.sum_bits), sizes.rows)),
            "column_scale": Out(sizes.floats), "y": In(sizes.floats),
            "o": Out(stream.Signature(columns(rows=sizes.rows, lanes=sizes.lanes))), "last": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        sizes, rows, lanes, depth = self.sizes, range(self.sizes.rows), self.sizes.lanes, self.sizes.words

        # Sums of a plane, in distributed memory; a word has its place from when it is asked for.
        m.submodules.sums = memory = Memory(shape=sizes.word, depth=depth, init=[])
        write, read = memory.write_port(), memory.read_port(domain="comb")
        free, level, some = Signal(range(depth + 1), init=depth), Signal(range(depth + 1)), Signal()    # some: level is not 0
        asked, popped = self.unload & self.useful, Signal()
        m.d.comb += [
            write.en.eq(delay(m, asked, name="arriving", cycles=self.unload_latency)),
            *(write.data[lane][row].eq(self.columns[lane][row]) for lane in range(lanes) for row in rows),
        ]
        m.d.sync += [
            write.addr.eq(write.addr + write.en), read.addr.eq(read.addr + popped),
        ]

        with m.If(asked != popped):
            m.d.sync += [free.eq(free + Mux(popped, 1, -1)), self.room.eq(popped | (free != 1))]
        with m.If(write.en != popped):
            m.d.sync += [level.eq(level + Mux(popped, -1, 1)), some.eq(~popped | (level != 1))]

        # Columns, one by one.
        Token = data.StructLayout({"second": unsigned(1), "whole": unsigned(1), "last": unsigned(1)})
        token, valid = Signal(Token), Signal()
        lane, left, second, ending = Signal(range(lanes)), Signal.like(self.job.head_words), Signal(), Signal()
        alone = self.job.head_words == 1
        m.d.comb += [
            self.en.eq(~self.o.valid | self.o.ready),
            valid.eq(some & (self.factored & (1 << second)).any() & ~self.hold),
            token.whole.eq(lane == lanes - 1),
            token.second.eq(second),
            token.last.eq(token.whole & ending & (second | ~self.job.paired)),
            popped.eq(valid & self.en & token.whole),
            *(self.column[row].eq(Cat(read.data[n][row] for n in range(lanes)).word_select(lane, sizes.sum_bits)) for row in rows),
        ]
        with m.If(valid & self.en):
            m.d.sync += lane.eq(Mux(token.whole, 0, lane + 1))
            with m.If(token.whole):
                m.d.sync += [left.eq(left - 1), ending.eq(left == 2)]
                with m.If(ending):
                    m.d.sync += [left.eq(self.job.head_words), second.eq(1), ending.eq(alone)]
        with m.If(self.start):
            m.d.sync += [left.eq(self.job.head_words), second.eq(0), ending.eq(alone)]

        with m.If(self.en):
            due = register(m, token, name="due", cycles=AttentionConvert.FLOAT)
            done = register(m, due, name="done", cycles=AttentionConvert.LATENCY - AttentionConvert.FLOAT)
            finished = delay(m, valid, name="finished", cycles=AttentionConvert.LATENCY)
            m.d.sync += [self.o.valid.eq(finished & done.whole), self.last.eq(done.last)]
            word = Signal(columns(rows=sizes.rows, lanes=lanes), reset_less=True)
            with m.If(finished):
                for row in rows:
                    m.d.sync += [word[n][row].eq(word[n + 1][row]) for n in range(lanes - 1)]
                    m.d.sync += word[lanes - 1][row].eq(self.y[row])
                    with m.If(~self.seen[row]):
                        m.d.sync += word[lanes - 1][row].eq(0)
        m.d.comb += self.o.payload.eq(word)
        m.d.comb += [scale.eq(Mux(due.second, self.factor[1][row], self.factor[0][row]))
                     for row, scale in enumerate(self.column_scale)]
        return m
