"""Ternary matrix product by table lookup: one cell of weights per cycle, each weight met by every token row.

The arithmetic is defined by its twin, :func:`terntable.models.golden.tlmm.ternary_matmul`.
"""

from amaranth import *
from amaranth.hdl import ValueLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from terntable.hw.block_sums import BlockSums
from terntable.hw.cell_issue import CellIssue
from terntable.hw.column_feed import ColumnFeed
from terntable.hw.lookup_array import LookupArray
from terntable.hw.shapes import integers
from terntable.hw.spec.lookup import TRITS, build_parts
from terntable.hw.table_builder import TableBuilder
from terntable.hw.trit_gear import TritGear

__all__ = ["Tlmm"]


class Tlmm(wiring.Component):
    """``sums[n] = sum over k of weight[n, k] * act[k]`` for each token row.

    ============  ===============================================================================
    Computes      ``ternary_matmul``
    Latency       ``cycles`` of the twin, command accepted to not ``busy``, when nothing is late
    Throughput    one cell per cycle once a tile's tables stand, three words per five cells; the
                  next tile's tables are built meanwhile
    Widths        sums of ``sum_bits`` bits, cannot overflow
    Stall         waits for words and for places in its output queue, in any pattern
    ============  ===============================================================================

    Parameters
    ----------
    rows, lanes : int
        Token rows, and columns of an activation word; ``lanes`` is a power of two.
    word_bytes, outputs : int
        Bytes of a word of weights, and outputs of a cell, a power of two that divides them.
    block_outputs : int
        Outputs of a block, a multiple of ``outputs``.
    max_outputs, max_inputs : int
        Largest product: cells of a tile and inputs are 16-bit numbers.
    queue_words : int
        Finished words of ``outputs`` outputs that may wait at ``o``, at least 3.

    Members
    -------
    command : In(stream)
        Starts a product of ``inputs`` columns and ``outputs`` outputs, from 1 to the largest, the latter a multiple of
        the cell's; ready while ``busy`` is low.
    busy : Out(1)
        From the cycle after a command is accepted until all words are taken and the last sum is offered at ``o`` or waits
        there behind others.
    illegal : Out(1)
        A byte of 243 or more was met since the last command; the sums are not to be used. Final when ``busy`` falls.
    act_enable, act_address, act_data
        Read port of the activations, words of ``lanes`` columns: data come a cycle later and then hold. They are read once
        for each block.
    weights : In(stream)
        Words as ``terntable.quant.beats`` orders them.
    o : Out(stream)
        Sums of ``outputs`` outputs, in order.
    wait_output, wait_word, wait_tables : Out(1)
        Why there is no cell in this cycle, from the second one of ``busy`` to the last cell: the queue is full, or else the
        word is not there, or else the tables (or the tile before, in a block of one or two cells) are not ready.

    Attributes
    ----------
    sum_bits : int
        Width of a sum.

    """

    def __init__(self, *, rows: int, lanes: int, word_bytes: int, outputs: int, block_outputs: int, max_outputs: int,
                 max_inputs: int, queue_words: int = 16):
        for name, value in (("rows", rows), ("lanes", lanes), ("word_bytes", word_bytes), ("outputs", outputs),
                            ("block_outputs", block_outputs), ("max_outputs", max_outputs), ("max_inputs", max_inputs)):
            if type(value) is not int or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        for name, value in (("lanes", lanes), ("outputs", outputs)):
            if value & (value - 1):
                raise ValueError(f"{name} must be a power of two, not {value}")
        for name, value, step in (("max_outputs", max_outputs, outputs), ("max_inputs", max_inputs, 1)):
            if value > 0xFFFF * step:
                raise ValueError(f"{name} must be at most {0xFFFF * step}, {step} times the largest 16-bit number, not {value}")
        for name, value in (("word_bytes", word_bytes), ("block_outputs", block_outputs)):
            if value % outputs:
                raise ValueError(f"{name} must be a multiple of outputs = {outputs}, not {value}")
        if TRITS * (word_bytes // outputs) % lanes:
            raise ValueError(f"lanes must divide the {TRITS * (word_bytes // outputs)} columns of a tile, since no word may "
                             f"straddle two tiles, but it is {lanes}")
        if type(queue_words) is not int or queue_words < 3:
            raise ValueError(f"queue_words must be an integer of at least 3, not {queue_words!r}")
        self.rows, self.lanes, self.word_bytes, self.outputs = rows, lanes, word_bytes, outputs
        self.block_outputs, self.max_outputs, self.max_inputs = block_outputs, max_outputs, max_inputs
        self.queue_words = queue_words
        self.groups, self.block_cells = word_bytes // outputs, block_outputs // outputs
        self.parts = build_parts(groups=self.groups, lanes=lanes, cells=self.block_cells)
        self.sum_bits = (max_inputs * 128).bit_length() + 1
        self.act_words = -(-max_inputs // lanes)
        super().__init__({
            "command": In(stream.Signature(data.StructLayout({"inputs": 16, "outputs": max(16, max_outputs.bit_length())}))),
            "busy": Out(1),
            "illegal": Out(1),
            "act_enable": Out(1),
            "act_address": Out(max(1, (self.act_words - 1).bit_length())),
            "act_data": In(integers(rows=rows, lanes=lanes, width=8)),
            "weights": In(stream.Signature(unsigned(8 * word_bytes))),
            "o": Out(stream.Signature(integers(rows=rows, lanes=outputs, width=self.sum_bits))),
            "wait_output": Out(1),
            "wait_word": Out(1),
            "wait_tables": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        shape = {"rows": self.rows, "groups": self.groups, "parts": self.parts}
        m.submodules.feed = feed = ColumnFeed(rows=self.rows, lanes=self.lanes, depth=self.act_words, block_cells=self.block_cells,
                                              tile_words=TRITS * self.groups // self.lanes)
        m.submodules.builder = builder = TableBuilder(lanes=self.lanes, **shape)
        m.submodules.issue = issue = CellIssue(block_cells=self.block_cells)
        # What follows from a command stands in registers a cycle later, when everything starts.
        begin, start = Signal(), Signal()
        cells = Value.cast(self.command.p.outputs) >> (self.outputs.bit_length() - 1)
        m.d.sync += start.eq(begin)
        m.d.comb += [
            self.command.ready.eq(~self.busy),
            begin.eq(self.command.valid & self.command.ready),
            feed.start.eq(start),
            feed.inputs.eq(self.command.p.inputs),
            feed.cells.eq(cells),
            self.act_enable.eq(feed.act_enable),
            self.act_address.eq(feed.act_address),
            feed.act_data.eq(self.act_data),
            issue.start.eq(start),
            issue.cells.eq(cells),
            issue.word.eq(self.weights.valid),
            self.weights.ready.eq(issue.take),
            self.wait_output.eq(issue.wait_output),
            self.wait_word.eq(issue.wait_word),
            self.wait_tables.eq(issue.wait_tables),
        ]
        wiring.connect(m, feed.o, builder.i)
        bank = self._banks(m, builder, issue)
        gear, sums, final = self._pipe(m, shape, builder, issue, bank)
        self._queue(m, sums, issue)

        # The last word's bytes are looked at as long as it takes to see that it was the last one.
        ended, idle = Signal(), Signal()
        m.d.sync += idle.eq(~issue.active)
        with m.If(final):
            m.d.sync += ended.eq(1)
        with m.If(ended & idle):
            m.d.sync += self.busy.eq(0)
        with m.If(gear.illegal):
            m.d.sync += self.illegal.eq(1)
        with m.If(begin):
            m.d.sync += [self.busy.eq(1), self.illegal.eq(0), ended.eq(0)]
        return m

    @staticmethod
    def _banks(m: Module, builder: TableBuilder, issue: CellIssue) -> Signal:
        """Who may use which bank; returns the one to read.

        A bank is taken from its tile's first entry until the last cell has come, and stands from the last entry on. A cell reads
        tables ``TritGear.LATENCY`` cycles after it has come. In these cycles the last entries of its own tile are still written,
        and the first ones of the next tile of the bank are on their way.
        """
        states = {name: (Signal(2, name=name), Signal(2, name=f"next_{name}")) for name in ("taken", "standing", "last_tile")}
        (taken, next_taken), (standing, next_standing), (last_tile, next_last_tile) = states.values()
        begun, built, read, busy = Signal(), Signal(), Signal(), Signal()
        next_begun, next_read = begun ^ builder.begin, read ^ issue.tile_end
        m.d.comb += [following.eq(now) for now, following in states.values()]
        with m.If(builder.begin):
            m.d.comb += next_taken.bit_select(begun, 1).eq(1)
        with m.If(builder.end):
            m.d.comb += [next_standing.bit_select(built, 1).eq(1), next_last_tile.bit_select(built, 1).eq(builder.mark)]
            m.d.sync += built.eq(~built)
        with m.If(issue.tile_end):
            m.d.comb += [next_taken.bit_select(read, 1).eq(0), next_standing.bit_select(read, 1).eq(0)]
        # Of the banks whose turn it is, what builder and issue ask for stands in registers.
        waited = Mux(builder.begin, taken.bit_select(~begun, 1), taken.bit_select(begun, 1))
        m.d.sync += [
            *(now.eq(following) for now, following in states.values()), begun.eq(next_begun), read.eq(next_read),
            busy.eq(waited & ~(issue.tile_end & (read == next_begun))), issue.last_tile.eq(next_last_tile.bit_select(next_read, 1)),
        ]
        # A tile's end takes the bank that is read, not the one after it.
        stands = standing | (builder.end << built)
        m.d.comb += [builder.go.eq(~busy), issue.tables.eq(Mux(read, stands[::-1], stands))]
        return read

    def _pipe(self, m: Module, shape: dict[str, int], builder: TableBuilder, issue: CellIssue,
              bank: Signal) -> tuple[TritGear, BlockSums, Value]:
        """Words to lookups to sums; what is known about a cell travels beside it. Also returns "the last sums leave"."""
        m.submodules.gear = gear = TritGear(word_bytes=self.word_bytes)
        m.submodules.lookup = lookup = LookupArray(outputs=self.outputs, **shape)
        m.submodules.sums = sums = BlockSums(rows=self.rows, outputs=self.outputs, words=self.block_cells,
                                             term_bits=lookup.sum_bits, sum_bits=max(self.sum_bits, lookup.sum_bits))
        m.d.comb += [
            gear.phase.eq(issue.phase),
            gear.take.eq(self.weights.valid & self.weights.ready),
            gear.word.eq(self.weights.p),
            lookup.write.eq(builder.o),
            lookup.i.eq(gear.o),
            lookup.bank.eq(_late(m, bank, gear.LATENCY)),
            # The sums' memory is read in the cycle before the terms are there.
            sums.i.eq(_late(m, issue.o, gear.LATENCY + lookup.LATENCY - 1)),
            sums.terms.eq(lookup.o),
            sums.negate.eq(lookup.negate),
        ]
        return gear, sums, _late(m, issue.final, gear.LATENCY + lookup.LATENCY - 1 + sums.LATENCY)

    def _queue(self, m: Module, sums: BlockSums, issue: CellIssue) -> None:
        """Finished sums. A cell that makes some reserves its place when it comes, so that the pipe never has to stop."""
        m.submodules.queue = queue = SyncFIFOBuffered(width=len(Value.cast(self.o.p)), depth=self.queue_words)
        # Places given away, and one more if the last cell took one, which is told a cycle late.
        reserved, fresh, reserving, left = Signal(range(self.queue_words + 1)), Signal(), Signal(), Signal()
        room = Signal(init=1)
        most = self.queue_words
        m.d.comb += [
            issue.room.eq(room), reserving.eq(issue.o.valid & issue.o.last), left.eq(self.o.valid & self.o.ready),
            queue.w_en.eq(sums.valid),
            queue.w_data.eq(Cat(sums.o[output][row][:self.sum_bits] for output in range(self.outputs) for row in range(self.rows))),
            self.o.p.eq(queue.r_data),
            self.o.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.o.ready),
        ]
        m.d.sync += [
            fresh.eq(reserving),
            # The last place is given away, or was before, and none becomes free.
            room.eq(left | (room & ~(reserving & (reserved == Mux(fresh, most - 2, most - 1))))),
        ]
        with m.If(fresh != left):
            m.d.sync += reserved.eq(reserved + Mux(left, -1, 1))


def _late(m: Module, value: ValueLike, cycles: int) -> Value:
    """`value` some cycles later."""
    late = Value.cast(value)
    for _ in range(cycles):
        before, late = late, Signal(len(late), name="late")
        m.d.sync += late.eq(before)
    return late
