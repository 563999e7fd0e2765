"""Cycle model of the ternary engine, from what its neighbours do: every handshake, read and flag of every cycle."""

from dataclasses import dataclass

from terntable.hw.spec.lookup import build_parts
from terntable.models.golden.lookup_array import latency
from terntable.models.golden.tlmm import TURNAROUND
from terntable.models.golden.trit_gear import LATENCY as GEAR_LATENCY
from terntable.quant.beats import BeatGeometry
from tests.hw.test_table_builder import Timing as BuilderTiming

__all__ = ["FLAGS", "EngineTiming"]

#: What `show` tells of each cycle.
FLAGS = ("busy", "weights__ready", "o__valid", "act_enable", "wait_output", "wait_word", "wait_tables")


@dataclass(frozen=True)
class Cell:
    """A cell to come; those that fill up a frame are neither the first nor the last of anything."""

    useful: bool = False
    last_tile: bool = False
    tile_end: bool = False
    hold: int = 0         # cycles that the tile after this one, its last cell, must wait
    final: bool = False


class EngineTiming:
    """State from one cycle to the next: ask `show` what the engine does in a cycle, then `advance` to the next."""

    def __init__(self, geometry: BeatGeometry, lanes: int, queue_words: int) -> None:
        self.geometry, self.lanes, self.queue_words = geometry, lanes, queue_words
        parts = build_parts(groups=geometry.groups, lanes=lanes, cells=geometry.block_outputs // geometry.outputs)
        self.tile_words = geometry.tile_inputs // lanes
        self.builder = BuilderTiming(self.tile_words // parts, parts)
        self.flight = GEAR_LATENCY + latency(geometry.groups) + 1    # cycles from a cell to the push of its sums
        self.busy = self.ended = self.idle = False
        self.begun_with: tuple[list[int | None], list[Cell]] | None = None    # words and cells of a command just accepted
        self.words: list[int | None] = []     # addresses still to be read, None for words of zeros; reversed
        self.offered = False                  # a word of columns is on offer
        self.marks: list[bool] = []           # of the tiles fed so far, whether they are the last of a block
        self.cells: list[Cell] = []           # still to come; reversed
        self.phase = self.hold = self.reserved = 0
        self.taken, self.standing = [False, False], [False, False]
        self.begun = self.built = self.read = 0
        self.coming: list[Cell | None] = [None] * self.flight
        self.stored, self.shown = 0, False    # the queue's memory and its output register

    def start(self, inputs: int, outputs: int) -> None:
        """A command is accepted in this cycle; call after `advance`."""
        tiles, columns = self.geometry.tiles(inputs), -(-inputs // self.lanes)
        words, cells = [], []
        blocks = self.geometry.blocks(outputs)
        for place, block in enumerate(blocks):
            words += [n if n < columns else None for n in range(tiles * self.tile_words)]
            count = block // self.geometry.outputs
            for tile in range(tiles):
                last = tile == tiles - 1
                cells += [Cell(True, last)] * (count - 1)
                cells.append(Cell(True, last, True, max(0, TURNAROUND - count), last and place == len(blocks) - 1))
        cells += [Cell()] * (-len(cells) % 5)
        self.begun_with = words[::-1], cells[::-1]
        self.busy, self.ended = True, False

    def show(self, word: bool) -> dict[str, int]:
        """Flags of this cycle, in which a word is offered or not."""
        cell = self.cells[-1] if self.cells else None
        takes = self.phase in (0, 1, 3)
        useful = cell is not None and cell.useful
        tables = self.standing[self.read]
        place = not (useful and cell.last_tile and self.reserved == self.queue_words)
        usable = bool(cell) and (not useful or tables and place and not self.hold)
        self.comes = usable and (word or not takes)
        self.asks = bool(self.words) and (not self.offered or self.builder.ready(self.go))
        wait_output = useful and tables and not place
        wait_word = useful and not wait_output and takes and not word
        return {
            "busy": int(self.busy), "weights__ready": int(usable and takes), "o__valid": int(self.shown),
            "act_enable": int(self.asks and self.words[-1] is not None), "wait_output": int(wait_output),
            "wait_word": int(wait_word), "wait_tables": int(useful and not wait_output and not wait_word and not usable),
        }

    @property
    def go(self) -> bool:
        """The bank of the next tile is free."""
        return not self.taken[self.begun]

    def advance(self, accepts: bool) -> int | None:
        """On to the next cycle; the queue's word would be accepted or not. Returns the address that was read, if one was."""
        go, builder, address = self.go, self.builder, None
        fed = self.offered and builder.ready(go)
        begins, ends = builder.begins(go), builder.ends
        builder.advance(fed, go)
        if not self.offered or fed:
            self.offered = bool(self.words)
        if self.asks:
            address = self.words.pop()
        cell = self.cells.pop() if self.comes else None
        self.hold = max(0, self.hold - 1)
        if cell:
            self.phase = (self.phase + 1) % 5
            if cell.tile_end:
                self.taken[self.read] = self.standing[self.read] = False
                self.read, self.hold = 1 - self.read, cell.hold
        if begins:
            self.taken[self.begun], self.begun = True, 1 - self.begun
        if ends:
            self.standing[self.built], self.built = True, 1 - self.built

        if self.ended and self.idle:
            self.busy = False
        self.idle = not (self.cells or cell)
        if self.begun_with:
            (self.words, self.cells), self.begun_with = self.begun_with, None
        pushed = self.coming.pop()
        self.coming.insert(0, cell if cell and cell.useful and cell.last_tile else None)
        self.ended |= pushed is not None and pushed.final
        self.reserved += (self.coming[0] is not None) - (self.shown and accepts)
        moves = self.stored > 0 and (not self.shown or accepts)
        self.shown = moves or self.shown and not accepts
        self.stored += (pushed is not None) - moves
        return address
