"""Reads the activations from their buffer, once for each block of outputs, as the table builder wants them."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.cell_issue import BlockCounter
from terntable.hw.shapes import integers
from terntable.hw.table_builder import feed_layout

__all__ = ["ColumnFeed"]


class ColumnFeed(wiring.Component):
    """All columns of a product, filled up to whole tiles, again and again.

    ==========  ======================================================
    Latency     2 cycles from ``start`` to the first word
    Throughput  one word per cycle; a stalled output holds
    ==========  ======================================================

    Parameters
    ----------
    rows, lanes : token rows, columns of a word; ``lanes`` is a power of two.
    block_cells : cells of a block's tile.
    tile_words : words of a tile.
    depth : words of the buffer.

    Members
    -------
    start : begins a product of ``inputs`` columns and ``cells`` cells a tile, as they were in the cycle before.
    act_enable, act_address, act_data : the buffer's read port; data come a cycle later and then hold.
    o : the words; ``mark`` goes with the last one.

    """

    LATENCY = 2

    def __init__(self, *, rows: int, lanes: int, block_cells: int, tile_words: int, depth: int) -> None:
        for name, value in (("rows", rows), ("lanes", lanes), ("block_cells", block_cells),
                            ("tile_words", tile_words), ("depth", depth)):
            if type(value) is not int or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        if lanes & (lanes - 1):
            raise ValueError(f"lanes must be a power of two, not {lanes}")
        self.rows, self.lanes, self.depth = rows, lanes, depth
        self.block_cells, self.tile_words = block_cells, tile_words
        super().__init__({
            "start": In(1), "inputs": In(16), "cells": In(16),
            "act_enable": Out(1), "act_address": Out(max(1, (depth - 1).bit_length())),
            "act_data": In(integers(rows=rows, lanes=lanes, width=8)),
            "o": Out(stream.Signature(feed_layout(rows, lanes))),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.blocks = blocks = BlockCounter(block_cells=self.block_cells)
        shift = self.lanes.bit_length() - 1
        running, past = Signal(), Signal()    # `past`: no columns are left, the tile is filled up
        # Words of the tile so far; words after the present one, and of the whole vector.
        word, left, top = Signal(range(max(2, self.tile_words))), Signal(16 - shift), Signal(16 - shift)
        last_keep = Signal(self.lanes)        # columns of the last word
        # Of the present word: its tile's last, the vector's last. Registers, since the builder decides late whether it advances.
        tile_end, final, short = Signal(init=self.tile_words == 1), Signal(), Signal()
        advance, ended = Signal(), Signal()
        m.d.comb += [
            advance.eq(running & (~self.o.valid | self.o.ready)),
            blocks.start.eq(self.start),
            blocks.cells.eq(self.cells),
            blocks.step.eq(ended),
            ended.eq(advance & tile_end & (past | final)),
            self.act_enable.eq(advance & ~past),
            self.o.p.columns.eq(self.act_data),
        ]
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += self.o.valid.eq(running)
        with m.If(advance):
            m.d.sync += [
                self.o.p.keep.eq(Mux(past, 0, Mux(final, last_keep, ~0))),
                self.o.p.mark.eq(ended),
                word.eq(Mux(tile_end, 0, word + 1)),
                tile_end.eq(Mux(tile_end, self.tile_words == 1, word == self.tile_words - 2)),
            ]
            with m.If(ended):
                m.d.sync += [self.act_address.eq(0), left.eq(top), final.eq(short), past.eq(0), running.eq(blocks.more)]
            with m.Elif(final):
                m.d.sync += past.eq(1)
            with m.Else():
                m.d.sync += [self.act_address.eq(self.act_address + 1), left.eq(left - 1), final.eq(left == 1)]
        # Of the product that may begin in the next cycle: its last column, and whether its vector is one word.
        last, one = Signal(16), Signal()
        m.d.sync += [last.eq(self.inputs - 1), one.eq(self.inputs <= self.lanes)]
        with m.If(self.start):
            m.d.sync += [running.eq(1), left.eq(last >> shift), top.eq(last >> shift), final.eq(one), short.eq(one)]
            for lane in range(self.lanes):
                m.d.sync += last_keep[lane].eq(last[:shift] >= lane if lane else 1)
        return m
