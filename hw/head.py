"""The INT8 output head: one logit per vocabulary row and token row, from one pass over the weight stream.

The arithmetic is defined by its twin, :func:`terntable.models.golden.head.logits`.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from terntable.hw.head_feed import HeadFeed
from terntable.hw.head_logits import LOGIT, HeadLogits
from terntable.hw.head_sums import STEP, HeadSums, sum_bits
from terntable.hw.int8_array import ArrayPort
from terntable.hw.kernel import delay, register
from terntable.hw.lane_pair import ONE
from terntable.hw.shapes import integers, per_row
from terntable.hw.spec.numbers import HEAD_ACT_BITS

__all__ = ["COMMAND", "Head"]

#: Beats that may be on their way before the count of finished sums knows of them.
ROOM_LAG = 2

#: Vocabulary and columns, both at least 1.
COMMAND = data.StructLayout({"vocab": 32, "inputs": 16})

#: Scales that one level of their multiplexer chooses from.
FAN_IN = 16


class Head(wiring.Component):
    """Logits of the pass's token rows, vocabulary row by vocabulary row, padding rows included.

    ============  =====================================================
    Computes      ``logits``; the stream is that of ``words``
    Latency       ``LATENCY`` cycles from a vocabulary row's last beat, the first or second half of a word, to its first logit
    Throughput    a beat per cycle, and two cycles for a block's scales, as long as the logits of a block leave while the next
                  one's beats come in: one logit per cycle
    Widths        exact integer sums, float32 logits
    Stall         waits for words; logits that nobody takes hold up the last beats of the vocabulary rows after them
    ============  =====================================================

    A word of the stream is two beats. A block of `beat_bytes` vocabulary rows is two words of scales, then for each
    `beat_bytes` columns a beat of each row.

    Parameters
    ----------
    rows : int
        Token rows.
    beat_bytes : int
        Bytes of a beat, a power of two of at least 8.
    lanes : int
        Columns of an activation word.
    max_hidden, max_vocab : int
        Largest ``inputs`` and ``vocab`` of a command.

    Members
    -------
    command : In(stream of COMMAND)
        Accepted while not busy.
    count : In(8)
        Token rows of the pass; others are left out.
    d : In(32 x rows)
        Dequantisation scale of each token row. Both must stay until ``done``.
    act_address, act_data : Out, In(signed(16) x rows x lanes)
        Read port of the activations; data follow the address by a cycle. Columns past the inputs may be anything.
    weights : In(stream)
        Words of two beats.
    array : Out(ArrayPort)
        The multipliers; the head's alone while busy.
    o : Out(stream of LOGIT)
    scoring : In(1)
        Logits are made of the sums of somebody else, with their scales alone; only while not busy.
    scores, score_scale_valid, score_scale, score_start, score_vocab : In
        Those sums, as :class:`HeadLogits` takes them.
    busy : Out(1)
        From the accepted command until the last logit is taken.
    done : Out(1)
        The last logit is being taken.
    wait_word : Out(1)
        It could take a word, and none is there.

    """

    def __init__(self, *, rows: int, beat_bytes: int, lanes: int, max_hidden: int, max_vocab: int) -> None:
        if beat_bytes < 8 or beat_bytes & (beat_bytes - 1):
            raise ValueError(f"beat_bytes must be a power of two of at least 8, not {beat_bytes!r}")
        if not 1 <= max_hidden < 1 << 16:
            raise ValueError(f"max_hidden must be 1..{(1 << 16) - 1}, not {max_hidden!r}")
        if not 1 <= max_vocab < 1 << 31:
            raise ValueError(f"max_vocab must be 1..{(1 << 31) - 1}, not {max_vocab!r}")
        self.rows, self.beat_bytes, self.lanes = rows, beat_bytes, lanes
        self.max_hidden, self.max_vocab = max_hidden, max_vocab
        self.port = ArrayPort(rows=rows, lanes=beat_bytes, load_lanes=lanes)
        # A whole block's sums may wait.
        self.depth = max(32, beat_bytes)
        self.column_words = -(-max_hidden // beat_bytes)
        self.sum_bits = sum_bits(max_hidden)
        self.LATENCY = self.port.dot_latency + HeadSums.LATENCY + HeadLogits.LATENCY
        super().__init__({
            "command": In(stream.Signature(COMMAND)), "count": In(8), "d": In(per_row(rows=rows)),
            "act_address": Out(range(self.column_words * (beat_bytes // lanes))),
            "act_data": In(integers(rows=rows, lanes=lanes, width=HEAD_ACT_BITS)),
            "weights": In(stream.Signature(16 * beat_bytes)), "array": Out(self.port),
            "o": Out(stream.Signature(LOGIT)),
            "scoring": In(1), "scores": In(stream.Signature(data.ArrayLayout(signed(self.sum_bits), rows))),
            "score_scale_valid": In(1), "score_scale": In(32), "score_start": In(1), "score_vocab": In(32),
            "busy": Out(1), "done": Out(1), "wait_word": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        block = self.beat_bytes
        shared = {"rows": self.rows, "block": block, "bits": self.sum_bits, "depth": self.depth}
        m.submodules.feed = feed = HeadFeed(rows=self.rows, beat_bytes=block, lanes=self.lanes, words=self.column_words)
        m.submodules.sums = sums = HeadSums(**shared, dot_bits=self.port.dot_bits)
        m.submodules.logits = logits = HeadLogits(**shared, max_vocab=self.max_vocab)
        for source, chosen in ((sums.o, ~self.scoring), (self.scores, self.scoring)):
            with m.If(chosen):
                m.d.comb += [logits.sums.valid.eq(source.valid), logits.sums.payload.eq(source.payload),
                             source.ready.eq(logits.sums.ready)]
        wiring.connect(m, logits.o, wiring.flipped(self.o))
        array, accepted = self.array, Signal()

        # Where the next word or beat belongs. Whatever decides on a beat is a register.
        Place = data.StructLayout({**STEP, "place": range(block)})
        step = Signal(Place)
        reading, has_scales, second, room = Signal(), Signal(), Signal(), Signal()
        last_word, left = Signal(range(max(2, self.column_words))), Signal(range(max(2, self.column_words)))
        first, last, last_place, last_block = Signal(), Signal(), Signal(), Signal()
        place, blocks = Signal(range(block)), Signal(range(max(2, -(-self.max_vocab // block))))
        queued = Signal(range(self.depth + 1))
        able, end_word, end_block = Signal(), Signal(), Signal()
        m.d.comb += [
            accepted.eq(self.command.valid & self.command.ready),
            self.command.ready.eq(~self.busy),
            able.eq(reading & has_scales & feed.ready & (~last | room)),
            self.weights.ready.eq(Mux(has_scales, able & place[0], reading)),
            self.wait_word.eq(~self.weights.valid & Mux(has_scales, able, reading)),
            step.valid.eq(able & self.weights.valid), step.first.eq(first), step.last.eq(last), step.place.eq(place),
            end_word.eq(step.valid & last_place),
            end_block.eq(end_word & last),
        ]
        with m.If(accepted):
            m.d.sync += [
                self.busy.eq(1), reading.eq(1), has_scales.eq(0), second.eq(0), place.eq(0), last_place.eq(0),
                last_word.eq((self.command.payload.inputs - 1) >> exact_log2(block)),
                blocks.eq((self.command.payload.vocab - 1) >> exact_log2(block)),
            ]
        with m.Elif(self.done):
            m.d.sync += self.busy.eq(0)
        with m.If(~has_scales):
            m.d.sync += [left.eq(last_word), first.eq(1), last.eq(last_word == 0), last_block.eq(blocks == 0)]
            with m.If(reading & self.weights.valid):
                m.d.sync += [second.eq(~second), has_scales.eq(second)]
        with m.If(step.valid):
            m.d.sync += [place.eq(place + 1), last_place.eq(place == block - 2)]
        with m.If(end_word):
            m.d.sync += [left.eq(left - 1), first.eq(0), last.eq(left == 1)]
        with m.If(end_block):
            m.d.sync += [has_scales.eq(0), blocks.eq(blocks - 1), reading.eq(~last_block)]

        # Finished sums that are in the queue or will come there.
        counted = delay(m, step.valid & last, name="counted")
        popped = delay(m, sums.o.valid & sums.o.ready, name="popped")
        m.d.sync += [queued.eq(queued + counted - popped), room.eq(queued < self.depth - ROOM_LAG)]

        # The scales of a block; each one goes on with its row's last beat.
        held = Signal(data.ArrayLayout(32, block), reset_less=True)
        half = block // 2
        with m.If(reading & ~has_scales):
            for n in range(block):
                with m.If(second == n // half):
                    m.d.sync += held[n].eq(self.weights.payload.word_select(n % half, 32))
        groups = [held.as_value()[first:first + 32 * FAN_IN] for first in range(0, 32 * block, 32 * FAN_IN)]
        chosen = register(m, Cat(group.word_select(place[:exact_log2(len(group) // 32)], 32) for group in groups), name="chosen")
        m.d.comb += [
            logits.scale.eq(Mux(self.scoring, self.score_scale,
                                chosen.word_select(register(m, place >> exact_log2(FAN_IN), name="group"), 32))),
            logits.scale_valid.eq(delay(m, step.valid & step.last, name="scale_valid") | self.score_scale_valid),
        ]

        # What the array does, and what comes out of it.
        m.d.comb += [
            feed.start.eq(accepted), feed.last_word.eq(last_word), feed.reading.eq(reading), feed.end_word.eq(end_word),
            self.act_address.eq(feed.act_address), feed.act_data.eq(self.act_data), feed.load_ready.eq(array.load_ready),
            *(getattr(array, name).eq(getattr(feed, name)) for name in ("swap", "load", "load_place", "load_data")),
            array.en.eq(1), array.valid.eq(step.valid),
            array.weight.as_value().eq(self.weights.payload.word_select(place[0], 8 * block)),
            sums.low.eq(array.low), sums.high.eq(array.high),
            sums.step.eq(delay(m, step, name="summed", cycles=self.port.dot_latency)),
            logits.start.eq(accepted | self.score_start),
            logits.vocab.eq(Mux(self.scoring, self.score_vocab, self.command.payload.vocab)),
            logits.count.eq(self.count), *(logits.d[row].eq(Mux(self.scoring, ONE, self.d[row])) for row in range(self.rows)),
            self.done.eq(self.busy & self.o.valid & self.o.ready & self.o.payload.last),
        ]
        return m
