"""When the ternary engine's cells come: blocks, tiles and cells counted, words taken, and reasons to wait told."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.block_sums import cell_layout
from terntable.hw.spec.layout import FRAME_CELLS
from terntable.hw.trit_gear import TAKING

__all__ = ["BlockCounter", "CellIssue"]


class BlockCounter(wiring.Component):
    """Cuts the cells of a product's tile, at most 65535, into blocks of ``block_cells``.

    Members
    -------
    start : a product begins, of as many cells a tile as ``cells`` was in the cycle before.
    step : the present block is over, two cycles after the last such pulse at least.
    last_cell : cells of the present block, less one; `single`, `double`: that is 0, 1; `next_single`: 0 in the next block.
    more : another block follows.

    """

    def __init__(self, *, block_cells: int) -> None:
        self.block_cells = block_cells
        super().__init__({"start": In(1), "cells": In(16), "step": In(1), "last_cell": Out(range(max(2, block_cells))),
                          "single": Out(1), "double": Out(1), "next_single": Out(1), "more": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        # What follows from a number of cells, those of a product or those that are left, stands in registers: a product's are known
        # a cycle before it begins, and a block lasts for some cycles.
        Block = data.StructLayout({"last_cell": self.last_cell.shape(), "left": 16, "more": 1, "single": 1, "double": 1})
        whole, rest, following = Signal(Block), Signal(Block), Signal(Block)
        left = Signal(16)
        for block, cells in ((whole, self.cells), (rest, left)):
            more = cells > self.block_cells
            m.d.sync += [
                block.more.eq(more), block.left.eq(Mux(more, cells - self.block_cells, 0)),
                block.last_cell.eq(Mux(more, self.block_cells - 1, cells - 1)),
                block.single.eq(Mux(more, self.block_cells == 1, cells == 1)),
                block.double.eq(Mux(more, self.block_cells == 2, cells == 2)),
            ]
        m.d.comb += [following.eq(Mux(self.start, whole, rest)), self.next_single.eq(following.single)]
        with m.If(self.start | self.step):
            m.d.sync += left.eq(following.left)
            m.d.sync += [getattr(self, name).eq(following[name]) for name in ("last_cell", "more", "single", "double")]
        return m


class CellIssue(wiring.Component):
    """A cell each cycle while tables, word and place for the result are there; then empty cells to the end of the frame.

    ==========  ======================================================
    Latency     none: a cell comes in the cycle of what it waited for
    Throughput  one cell per cycle
    ==========  ======================================================

    Parameters
    ----------
    block_cells : cells of a block's tile.

    Members
    -------
    start : a product begins, of as many cells a tile as ``cells`` was in the cycle before.
    tables : those of the present tile, and of the one after it, stand in the cycle to come.
    last_tile : the present tile is its block's last one.
    room : there is a place for the sums of a last tile.
    word, take : a word is there, it is taken.
    phase : the cell's number in its frame, also for empty ones.
    o : the cell.
    tile_end : it is its tile's last.
    final : it is the product's last.
    active : cells are still to come, empty ones included.
    wait_output, wait_word, wait_tables : why there is none.

    """

    def __init__(self, *, block_cells: int) -> None:
        if type(block_cells) is not int or block_cells < 1:
            raise ValueError(f"block_cells must be a positive integer, not {block_cells!r}")
        self.block_cells = block_cells
        super().__init__({
            "start": In(1), "cells": In(16), "tables": In(2), "last_tile": In(1), "room": In(1), "word": In(1), "take": Out(1),
            "phase": Out(range(FRAME_CELLS)), "o": Out(cell_layout(block_cells)), "tile_end": Out(1), "final": Out(1),
            "active": Out(1), "wait_output": Out(1), "wait_word": Out(1), "wait_tables": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.blocks = blocks = BlockCounter(block_cells=self.block_cells)
        useful, filling = Signal(), Signal()
        word_there, place_there = Signal(), Signal()
        # What a cell depends on stands in registers: it takes a word, it is its tile's last, its tables stand and may be read.
        takes, at_end, standing, usable = Signal(init=1), Signal(), Signal(), Signal()
        longer = Signal()    # one cycle more, until the present tile's first word is back from the tile before
        m.d.comb += [
            blocks.start.eq(self.start),
            blocks.cells.eq(self.cells),
            blocks.step.eq(self.tile_end & self.o.last),
            word_there.eq(~takes | self.word),
            place_there.eq(~self.last_tile | self.room),
            self.o.valid.eq(useful & usable & place_there & word_there),
            self.o.last.eq(self.last_tile),
            self.take.eq(takes & (useful & usable & place_there | filling)),
            self.tile_end.eq(self.o.valid & at_end),
            self.final.eq(self.tile_end & self.last_tile & ~blocks.more),
            self.active.eq(useful | filling),
            self.wait_output.eq(useful & standing & ~place_there),
            self.wait_word.eq(useful & ~self.wait_output & ~word_there),
            self.wait_tables.eq(useful & ~self.wait_output & word_there & ~usable),
        ]
        m.d.sync += [standing.eq(self.tables[0]), usable.eq(self.tables[0] & ~longer), longer.eq(0)]
        with m.If(self.o.valid):
            m.d.sync += [self.o.word.eq(self.o.word + 1), at_end.eq(self.o.word + 1 == blocks.last_cell)]
        with m.If(self.tile_end):
            m.d.sync += [
                self.o.word.eq(0),
                self.o.first.eq(self.last_tile),
                at_end.eq(Mux(self.last_tile, blocks.next_single, blocks.single)),
                standing.eq(self.tables[1]),
                usable.eq(self.tables[1] & ~(blocks.single | blocks.double)),
                longer.eq(blocks.single),
            ]
        with m.If(self.o.valid | filling & word_there):
            following = Cat((phase + 1) % FRAME_CELLS in TAKING for phase in range(FRAME_CELLS))
            m.d.sync += [self.phase.eq(Mux(self.phase == FRAME_CELLS - 1, 0, self.phase + 1)),
                         takes.eq(following.bit_select(self.phase, 1))]
            with m.If(self.phase == FRAME_CELLS - 1):
                m.d.sync += filling.eq(0)
        with m.If(self.final):
            m.d.sync += [useful.eq(0), filling.eq(self.phase != FRAME_CELLS - 1)]
        with m.If(self.start):
            m.d.sync += [useful.eq(1), self.o.first.eq(1), at_end.eq(blocks.next_single)]
        return m
