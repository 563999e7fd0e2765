"""When the ternary engine's cells come: blocks, tiles and cells counted, words taken, and reasons to wait told."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.block_sums import BlockSums, cell_layout
from terntable.hw.spec.layout import FRAME_CELLS
from terntable.hw.trit_gear import TAKING

__all__ = ["BlockCounter", "CellIssue"]


class BlockCounter(wiring.Component):
    """Cuts the cells of a product's tile, at most 65535, into blocks of ``block_cells``.

    Members
    -------
    start : a product of ``cells`` cells a tile begins.
    step : the present block is over.
    last_cell : cells of the present block, less one.
    more : another block follows.

    """

    def __init__(self, *, block_cells: int) -> None:
        self.block_cells = block_cells
        super().__init__({"start": In(1), "cells": In(16), "step": In(1), "last_cell": Out(range(max(2, block_cells))),
                          "more": Out(1)})

    def elaborate(self, platform) -> Module:
        m = Module()
        left, now = Signal(16), Signal(16)
        m.d.comb += [now.eq(Mux(self.start, self.cells, left)), self.more.eq(left != 0)]
        with m.If(self.start | self.step):
            with m.If(now > self.block_cells):
                m.d.sync += [self.last_cell.eq(self.block_cells - 1), left.eq(now - self.block_cells)]
            with m.Else():
                m.d.sync += [self.last_cell.eq(now - 1), left.eq(0)]
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
    start : a product of ``cells`` cells a tile begins.
    tables, last_tile : the present tile's tables stand, and it is its block's last one.
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
            "start": In(1), "cells": In(16), "tables": In(1), "last_tile": In(1), "room": In(1), "word": In(1), "take": Out(1),
            "phase": Out(range(FRAME_CELLS)), "o": Out(cell_layout(block_cells)), "tile_end": Out(1), "final": Out(1),
            "active": Out(1), "wait_output": Out(1), "wait_word": Out(1), "wait_tables": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.blocks = blocks = BlockCounter(block_cells=self.block_cells)
        useful, filling = Signal(), Signal()
        takes, word_there, place_there, usable = Signal(), Signal(), Signal(), Signal()
        hold = Signal(range(BlockSums.TURNAROUND))    # cycles until the present tile's first word is back from the tile before
        m.d.comb += [
            blocks.start.eq(self.start),
            blocks.cells.eq(self.cells),
            blocks.step.eq(self.tile_end & self.o.last),
            takes.eq(Cat(phase in TAKING for phase in range(FRAME_CELLS)).bit_select(self.phase, 1)),
            word_there.eq(~takes | self.word),
            place_there.eq(~self.last_tile | self.room),
            usable.eq(self.tables & place_there & (hold == 0)),
            self.o.valid.eq(useful & usable & word_there),
            self.o.last.eq(self.last_tile),
            self.take.eq(takes & (useful & usable | filling)),
            self.tile_end.eq(self.o.valid & (self.o.word == blocks.last_cell)),
            self.final.eq(self.tile_end & self.last_tile & ~blocks.more),
            self.active.eq(useful | filling),
            self.wait_output.eq(useful & self.tables & ~place_there),
            self.wait_word.eq(useful & ~self.wait_output & ~word_there),
            self.wait_tables.eq(useful & ~self.wait_output & word_there & ~(self.tables & (hold == 0))),
        ]
        with m.If(hold != 0):
            m.d.sync += hold.eq(hold - 1)
        with m.If(self.o.valid):
            m.d.sync += self.o.word.eq(self.o.word + 1)
        with m.If(self.tile_end):
            m.d.sync += [
                self.o.word.eq(0),
                self.o.first.eq(self.last_tile),
                hold.eq(Mux(blocks.last_cell == 0, 2, blocks.last_cell == 1)),
            ]
        with m.If(self.o.valid | filling & word_there):
            m.d.sync += self.phase.eq(Mux(self.phase == FRAME_CELLS - 1, 0, self.phase + 1))
            with m.If(self.phase == FRAME_CELLS - 1):
                m.d.sync += filling.eq(0)
        with m.If(self.final):
            m.d.sync += [useful.eq(0), filling.eq(self.phase != FRAME_CELLS - 1)]
        with m.If(self.start):
            m.d.sync += [useful.eq(1), self.o.first.eq(1)]
        return m
