"""The INT8 output head: one logit per vocabulary row and token row, from one pass over the weight stream.

The arithmetic is defined by its twin, :func:`terntable.models.golden.head.logits`.
"""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from terntable.hw.float_from_int import FloatFromInt
from terntable.hw.float_mul import FloatMul
from terntable.hw.int8_array import ArrayPort
from terntable.hw.kernel import delay, register

__all__ = ["COMMAND", "Head", "logit_item"]

#: Vocabulary and columns, both at least 1.
COMMAND = data.StructLayout({"vocab": 32, "inputs": 16})

#: Bits of a product of an activation and a weight, with the sign.
PRODUCT_BITS = 24


def logit_item(*, rows: int) -> data.StructLayout:
    """One vocabulary row: its logits, whether it is the last, and whether it lies past the vocabulary."""
    return data.StructLayout({"index": 32, "logit": data.ArrayLayout(32, rows), "last": 1, "padding": 1})


class Head(wiring.Component):
    """Logits of all token rows, vocabulary row by vocabulary row, padding rows included.

    ============  =====================================================
    Computes      ``logits``; the stream is that of ``beats``
    Latency       ``LATENCY`` cycles from a row's last weight beat to ``o.valid``
    Throughput    one weight beat per cycle
    Widths        exact integer sums, float32 logits
    Stall         a rigid pipe: everything stands still while ``o`` is offered and not taken;
                  ``weights.ready`` follows ``o.ready`` in the same cycle
    ============  =====================================================

    Parameters
    ----------
    rows : int
        Token rows.
    beat_bytes : int
        Bytes of a weight beat, a power of two of at least 8.
    max_hidden, max_vocab : int
        Largest ``inputs`` and ``vocab`` of a command.

    Members
    -------
    command : In(stream of COMMAND)
        Accepted while not busy.
    d : In(32 x rows)
        Dequantisation scale of each token row; must stay until ``done``.
    act_word, act_data : Out, In(signed(16) x beat_bytes x rows)
        Read port of the activations, in words of ``beat_bytes`` columns; data follow the word by a cycle.
    weights : In(stream)
        Raw beats.
    array : Out(ArrayPort)
        The multipliers; theirs alone while busy.
    o : Out(stream of logit_item)
    busy : Out(1)
        From the accepted command until the last item is taken.
    done : Out(1)
        The last item is being taken.

    """

    def __init__(self, *, rows: int, beat_bytes: int, max_hidden: int, max_vocab: int):
        if rows < 1:
            raise ValueError(f"rows must be at least 1, not {rows!r}")
        if beat_bytes < 8 or beat_bytes & (beat_bytes - 1):
            raise ValueError(f"beat_bytes must be a power of two of at least 8, not {beat_bytes!r}")
        if not 1 <= max_hidden < 1 << 16:
            raise ValueError(f"max_hidden must be 1..{(1 << 16) - 1}, not {max_hidden!r}")
        if not 1 <= max_vocab < 1 << 31:
            raise ValueError(f"max_vocab must be 1..{(1 << 31) - 1}, not {max_vocab!r}")
        self.rows, self.beat_bytes = rows, beat_bytes
        self.max_hidden, self.max_vocab = max_hidden, max_vocab
        port = ArrayPort(rows=rows, lanes=beat_bytes)
        self._dot_latency = port.dot_latency
        self._convert_latency = max(FloatFromInt.LATENCY, FloatMul.LATENCY)
        self.LATENCY = 1 + port.dot_latency + 1 + self._convert_latency + FloatMul.LATENCY
        words = -(-max_hidden // beat_bytes)
        super().__init__({
            "command": In(stream.Signature(COMMAND)),
            "d": In(data.ArrayLayout(32, rows)),
            "act_word": Out(range(words)),
            "act_data": In(data.ArrayLayout(data.ArrayLayout(signed(16), beat_bytes), rows)),
            "weights": In(stream.Signature(8 * beat_bytes)),
            "array": Out(port),
            "o": Out(stream.Signature(logit_item(rows=rows))),
            "busy": Out(1),
            "done": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        rows, width, block = range(self.rows), self.beat_bytes, self.beat_bytes // 4
        words = -(-self.max_hidden // width)
        index_bits = (self.max_vocab + block).bit_length()
        advance = Signal()
        pipe = Module()    # what moves with `advance`
        m.submodules.pipe = EnableInserter(advance)(pipe)

        # The stream: a beat of scales, then `block` rows of `last_word` + 1 beats.
        reading, has_scales = Signal(), Signal()
        word, last_word = Signal(range(words)), Signal(range(words))
        place, index, vocab = Signal(range(block)), Signal(index_bits), Signal(index_bits)
        scales = Signal(32 * block, reset_less=True)
        Row = data.StructLayout({"index": index_bits, "last": 1, "padding": 1, "scale": 32})
        Step = data.StructLayout({"valid": 1, "first": 1, "end": 1})
        step, row = Signal(Step), Signal(Row)
        taken, end_row, end_block = Signal(), Signal(), Signal()
        m.d.comb += [
            advance.eq(self.busy & (~self.o.valid | self.o.ready)),
            self.command.ready.eq(~self.busy),
            self.weights.ready.eq(reading & advance),
            taken.eq(self.weights.valid & self.weights.ready),
            end_row.eq(has_scales & (word == last_word)),
            end_block.eq(end_row & (place == block - 1)),
            step.valid.eq(self.weights.valid & reading & has_scales),
            step.first.eq(word == 0),
            step.end.eq(step.valid & end_row),
            row.index.eq(index),
            row.padding.eq(index >= vocab),
            row.last.eq(end_block & (index + 1 >= vocab)),
            row.scale.eq(scales[:32]),
        ]
        with m.If(self.command.valid & self.command.ready):
            m.d.sync += [
                self.busy.eq(1), reading.eq(1), has_scales.eq(0), word.eq(0), place.eq(0), index.eq(0),
                vocab.eq(self.command.p.vocab),
                last_word.eq((self.command.p.inputs - 1) >> exact_log2(width)),
            ]
        with m.Elif(self.done):
            m.d.sync += self.busy.eq(0)
        with m.If(taken & ~has_scales):
            m.d.sync += [scales.eq(self.weights.p), has_scales.eq(1)]
        with m.Elif(taken):
            m.d.sync += word.eq(word + 1)
            with m.If(end_row):
                m.d.sync += [word.eq(0), place.eq(place + 1), index.eq(index + 1), scales.eq(scales >> 32)]
            with m.If(end_block):
                m.d.sync += [place.eq(0), has_scales.eq(0)]
            with m.If(row.last):
                m.d.sync += reading.eq(0)

        # The activations' memory has no enable, so a stalled pipe asks for the same word again.
        held_word = register(pipe, word, name="held_word")
        m.d.comb += self.act_word.eq(Mux(advance, word, held_word))
        issued = delay(pipe, step, name="issued")
        weight = register(pipe, self.weights.p, name="weight")
        m.d.comb += [self.array.en.eq(advance), self.array.weight.as_value().eq(weight)]
        for r in rows:
            m.d.comb += [self.array.act[r][n].eq(self.act_data[r][n]) for n in range(width)]

        # Sums over the beats of a row.
        summed = delay(pipe, issued, name="summed", cycles=self._dot_latency)
        ended = delay(pipe, summed.end, name="ended")
        ready = delay(pipe, ended, name="logit_ready", cycles=self._convert_latency + FloatMul.LATENCY)
        at_sum = register(pipe, row, name="row_at_sum", cycles=2 + self._dot_latency)
        at_end = register(pipe, at_sum, name="row_at_end", cycles=self._convert_latency + FloatMul.LATENCY)
        sum_bits = PRODUCT_BITS + self.max_hidden.bit_length()
        for r in rows:
            total = Signal(signed(sum_bits), name=f"total_{r}", reset_less=True)
            with pipe.If(summed.valid):
                pipe.d.sync += total.eq(Mux(summed.first, 0, total) + self.array.dot[r])
            m.submodules[f"convert_{r}"] = convert = FloatFromInt(width=sum_bits)
            m.submodules[f"scale_{r}"] = scale = FloatMul()
            m.submodules[f"logit_{r}"] = logit = FloatMul()
            lag = self._convert_latency
            m.d.comb += [
                convert.en.eq(advance), scale.en.eq(advance), logit.en.eq(advance),
                convert.a.eq(total), scale.a.eq(at_sum.scale), scale.b.eq(self.d[r]),
                logit.a.eq(register(pipe, convert.y, name=f"sum_{r}", cycles=lag - FloatFromInt.LATENCY)),
                logit.b.eq(register(pipe, scale.y, name=f"factor_{r}", cycles=lag - FloatMul.LATENCY)),
                self.o.p.logit[r].eq(logit.y),
            ]
        m.d.comb += [
            self.o.valid.eq(ready),
            self.o.p.index.eq(at_end.index),
            self.o.p.last.eq(at_end.last),
            self.o.p.padding.eq(at_end.padding),
            self.done.eq(self.o.valid & self.o.ready & at_end.last),
        ]
        return m
