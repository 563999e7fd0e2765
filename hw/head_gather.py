"""Makes a head's weights of chosen vocabulary rows: each row's scale and beats are read from where they lie in the whole head."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from terntable.hw.axi_burst import REQUEST
from terntable.hw.kernel import delay, register

__all__ = ["HeadGather"]

#: Requests that wait for the port, and cycles from a place of the list to its request's address.
QUEUE, PIPE = 16, 7


class HeadGather(wiring.Component):
    """For each token row a block of the head: the scales of its candidates, then for each column word a beat of each candidate.

    ==========  ======================================================
    Computes    nothing, so there is no twin
    Latency     ``LATENCY`` cycles from `start` to the first request
    Throughput  one request per cycle; a beat per cycle, and one more for each word
    Stall       any; `depth` requests may be on their way
    ==========  ======================================================

    Vocabulary row v lies in block v / `beat_bytes` of the head, as ``words`` of the golden head has it. An unused candidate is
    read as row 0, and told apart by `used`.

    Parameters
    ----------
    rows, beat_bytes, max_hidden : as in the configuration.
    index_bits : of an index in the vocabulary.
    depth : requests whose beats have not come.

    Members
    -------
    start, count, inputs, base : a pulse begins so many token rows; columns, and the head's address. They stay.
    row, place, candidate : read port of the lists, `beat_bytes` entries each; the entry follows a cycle later, all ones for none.
    request, i : reads of a wide beat each.
    o : words of two beats.
    logit, index, used : which vocabulary row the so-many-th of those gathered is, in the same cycle.

    """

    LATENCY = PIPE + 2

    def __init__(self, *, rows: int, beat_bytes: int, max_hidden: int, index_bits: int, depth: int = 64) -> None:
        if beat_bytes < 8 or beat_bytes & (beat_bytes - 1):
            raise ValueError(f"beat_bytes must be a power of two of at least 8, not {beat_bytes!r}")
        if type(depth) is not int or depth < 3:
            raise ValueError(f"depth must be an integer of at least 3, not {depth!r}")
        self.rows, self.beat_bytes, self.max_hidden, self.index_bits, self.depth = rows, beat_bytes, max_hidden, index_bits, depth
        self.row_bits = max(1, (rows - 1).bit_length())
        place_bits = exact_log2(beat_bytes)
        super().__init__({
            "start": In(1), "count": In(8), "inputs": In(16), "base": In(64),
            "row": Out(self.row_bits), "place": Out(place_bits), "candidate": In(32),
            "request": Out(stream.Signature(REQUEST)), "i": In(stream.Signature(8 * beat_bytes)),
            "o": Out(stream.Signature(16 * beat_bytes)),
            "logit": In(self.row_bits + place_bits), "index": Out(index_bits), "used": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        # What a beat is: a vocabulary row's scale, in which lane of the beat, or else its columns.
        Kind = data.StructLayout({"scale": 1, "lane": range(self.beat_bytes // 4)})
        m.submodules.kinds = kinds = SyncFIFOBuffered(width=Kind.size, depth=self.depth)
        self._ask(m, kinds)
        self._collect(m, data.View(Kind, kinds.r_data), kinds)
        return m

    def _ask(self, m: Module, kinds: SyncFIFOBuffered) -> None:
        """Places of the lists to requests. The pipe never stands still: what leaves it has its place in a queue."""
        shift, words = exact_log2(self.beat_bytes), max(2, -(-self.max_hidden // self.beat_bytes))
        m.submodules.queue = queue = SyncFIFO(width=64 + len(kinds.w_data), depth=QUEUE)
        active, scale, issue, room = Signal(), Signal(), Signal(), Signal()
        row, place, word, last_word = Signal(self.row_bits), Signal(shift), Signal(range(words)), Signal(range(words))
        last_row, pending, block = Signal(self.row_bits), Signal(range(QUEUE + 1)), Signal(17)
        m.d.comb += [issue.eq(active & room), self.row.eq(row), self.place.eq(place)]
        m.d.sync += [
            last_row.eq(self.count - 1), last_word.eq((self.inputs - 1) >> shift),
            # Wide beats of a block: four of scales, and one of each row for each column word.
            block.eq((((self.inputs + self.beat_bytes - 1) >> shift) << shift) + 4),
            pending.eq(pending + issue - (queue.r_en & queue.r_rdy)), room.eq(pending < QUEUE - 2),
        ]
        with m.If(issue):
            m.d.sync += place.eq(place + 1)
            with m.If(place.all()):
                m.d.sync += [scale.eq(0), word.eq(Mux(scale, 0, word + 1))]
                with m.If(~scale & (word == last_word)):
                    m.d.sync += [scale.eq(1), row.eq(row + 1), active.eq(row != last_row)]
        with m.If(self.start):
            m.d.sync += [active.eq(1), scale.eq(1), row.eq(0), place.eq(0)]

        # The entry comes a cycle after its place, then goes through a register.
        used, index = Signal(), Signal(self.index_bits)
        m.d.comb += [used.eq(~self.candidate.all()), index.eq(Mux(used, self.candidate, 0))]
        held = register(m, Cat(index, used), name="held")
        held_index = held[:self.index_bits]
        m.submodules.chosen = chosen = Memory(shape=len(held), depth=1 << len(self.logit), init=[],
                                              attrs={"ram_style": "distributed"})
        write, read = chosen.write_port(), chosen.read_port(domain="comb")
        m.d.comb += [
            write.addr.eq(register(m, Cat(place, row), name="at", cycles=2)), write.data.eq(held),
            write.en.eq(delay(m, issue & scale, name="listed", cycles=2)),
            read.addr.eq(self.logit), self.index.eq(read.data[:self.index_bits]), self.used.eq(read.data[self.index_bits]),
        ]
        # Its block's first beat, by a multiplier with a register before and two behind it; its place behind that.
        low = held_index[:shift]
        first = register(m, (held_index >> shift) * register(m, block, name="factor"), name="first", cycles=2)
        here, of_scale = register(m, low, name="low", cycles=2), register(m, scale, name="of_scale", cycles=4)
        column = register(m, word, name="column", cycles=4)
        beat, lane = Signal(32), register(m, here, name="lane")
        m.d.sync += beat.eq(first + Mux(of_scale, here >> (shift - 2), Cat(here, column) + 4))
        # A 64-bit sum in two steps.
        offset, sums, upper = Signal(32 + shift), Signal(33), Signal.like(beat)
        m.d.comb += offset.eq(beat << shift)
        m.d.sync += [sums.eq(self.base[:32] + offset[:32]), upper.eq(self.base[32:] + offset[32:])]
        address = register(m, Cat(sums[:32], (upper + sums[32])[:32]), name="address")
        kind = register(m, Cat(register(m, of_scale, name="kind"), lane[:shift - 2]), name="kind", cycles=2)
        m.d.comb += [
            queue.w_en.eq(delay(m, issue, name="issued", cycles=PIPE)), queue.w_data.eq(Cat(kind, address)),
            self.request.valid.eq(queue.r_rdy & kinds.w_rdy), queue.r_en.eq(self.request.ready & kinds.w_rdy),
            self.request.payload.beats.eq(1), self.request.payload.address.eq(queue.r_data[len(kinds.w_data):]),
            kinds.w_en.eq(queue.r_rdy & self.request.ready), kinds.w_data.eq(queue.r_data[:len(kinds.w_data)]),
        ]

    def _collect(self, m: Module, kind: data.View, kinds: SyncFIFOBuffered) -> None:
        """Beats to words: scales are shifted in, columns put side by side."""
        word, filled, full = Signal(16 * self.beat_bytes, reset_less=True), Signal(range(self.beat_bytes // 2)), Signal()
        taken, whole, half = Signal(), Signal(), 8 * self.beat_bytes
        m.d.comb += [
            self.i.ready.eq(kinds.r_rdy & ~full), taken.eq(self.i.valid & self.i.ready), kinds.r_en.eq(taken),
            whole.eq(Mux(kind.scale, filled.all(), filled[0])),
            self.o.payload.eq(word), self.o.valid.eq(full),
        ]
        with m.If(taken):
            m.d.sync += [filled.eq(Mux(whole, 0, filled + 1)), full.eq(whole)]
            with m.If(kind.scale):
                m.d.sync += word.eq(Cat(word[32:], self.i.payload.word_select(kind.lane, 32)))
            with m.Elif(filled[0]):
                m.d.sync += word[half:].eq(self.i.payload)
            with m.Else():
                m.d.sync += word[:half].eq(self.i.payload)
        with m.If(full & self.o.ready):
            m.d.sync += full.eq(0)
