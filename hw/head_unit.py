"""The head with what follows it: candidates, full logits, results."""

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.axi_burst import REQUEST
from terntable.hw.head import Head
from terntable.hw.int8_array import ArrayPort
from terntable.hw.logit_writer import LogitWriter
from terntable.hw.result_writer import ResultWriter
from terntable.hw.shapes import per_row
from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.layout import head_block
from terntable.hw.spec.numbers import HEAD_ACT_BITS
from terntable.hw.spec.program import RowFlag
from terntable.hw.topk import TopK

__all__ = ["HeadUnit"]


class HeadUnit(wiring.Component):
    """Runs a HEAD descriptor: logits stream to the top-k, and to memory for rows that want them all; then results are written.

    ==========  ======================================================
    Throughput  that of the head; full logits hold it up while blocks are written
    Stall       waits for the weight stream and the write port; `done` comes when the results are acknowledged
    ==========  ======================================================

    Members
    -------
    command, act_word, act_data, weights, array, d : of `Head`.
    count, flags : rows of the pass and their flags.
    result_base, logits_base : where results go.
    invalid : a logit is INVALID.

    """

    def __init__(self, *, config: HardwareConfig) -> None:
        self.config = config
        rows, size = config.rows, config.beat_bytes
        self.parts = {
            "head": Head(rows=rows, beat_bytes=size, max_hidden=config.max_hidden,
                         max_vocab=config.max_vocab),
            "topk": TopK(rows=rows, k=config.top_k, index_bits=32),
            "logits": LogitWriter(rows=rows, beat_bytes=size),
            "results": ResultWriter(rows=rows, k=config.top_k, beat_bytes=size),
        }
        super().__init__({
            "command": In(stream.Signature(data.StructLayout({"vocab": 32, "inputs": 16}))),
            "act_word": Out(self.parts["head"].act_word.shape()),
            "act_data": In(data.ArrayLayout(data.ArrayLayout(signed(HEAD_ACT_BITS), size), rows)),
            "weights": In(stream.Signature(8 * size)), "array": Out(ArrayPort(rows=rows, lanes=size)),
            "d": In(per_row(rows=rows)), "count": In(8), "flags": In(data.ArrayLayout(3, rows)),
            "result_base": In(64), "logits_base": In(64),
            "request": Out(stream.Signature(REQUEST)), "o": Out(stream.Signature(8 * size)), "write_idle": In(1),
            "invalid": Out(1), "done": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        for name, part in self.parts.items():
            m.submodules[name] = part
        head, topk, logits, results = self.parts.values()
        vocab = Signal(32)
        block = head_block(self.config)
        wiring.connect(m, wiring.flipped(self.weights), head.weights)
        wiring.connect(m, head.array, wiring.flipped(self.array))
        wants = Cat((flags & RowFlag.LOGITS) != 0 for flags in self.flags)
        full = Signal()
        m.d.comb += [
            head.command.payload.eq(self.command.payload), head.d.eq(self.d),
            self.act_word.eq(head.act_word), head.act_data.eq(self.act_data),
            full.eq(wants.any()),
            logits.enable.eq(wants), logits.base.eq(self.logits_base),
            logits.stride.eq((vocab + block - 1 >> (block.bit_length() - 1)) << (block.bit_length() + 1)),
            topk.i.payload.index.eq(head.o.payload.index), topk.i.payload.logit.eq(head.o.payload.logit),
            topk.i.valid.eq(head.o.valid & head.o.ready & ~head.o.payload.padding),
            logits.i.payload.index.eq(head.o.payload.index), logits.i.payload.logit.eq(head.o.payload.logit),
            logits.i.payload.last.eq(head.o.payload.last), logits.i.payload.padding.eq(head.o.payload.padding),
            logits.i.valid.eq(head.o.valid & full), head.o.ready.eq(logits.i.ready | ~full),
            self.invalid.eq(head.o.valid & ~head.o.payload.padding
                            & Cat(value[23:31].all() for value in head.o.payload.logit).any()),
            results.best_index.eq(topk.best_index), results.best_logit.eq(topk.best_logit),
            results.count.eq(self.count), results.base.eq(self.result_base), results.write_idle.eq(self.write_idle),
        ]
        writing_results = Signal()
        for source, beats, chosen in ((logits.request, logits.o, ~writing_results), (results.request, results.o, writing_results)):
            with m.If(chosen):
                m.d.comb += [
                    self.request.valid.eq(source.valid), self.request.payload.eq(source.payload),
                    source.ready.eq(self.request.ready),
                    self.o.valid.eq(beats.valid), self.o.payload.eq(beats.payload), beats.ready.eq(self.o.ready),
                ]
        # The last logits pass through the top-k a cycle after the head is done.
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.command.ready.eq(head.command.ready), head.command.valid.eq(self.command.valid),
                             topk.clear.eq(self.command.valid)]
                with m.If(self.command.valid & self.command.ready):
                    m.d.sync += vocab.eq(self.command.payload.vocab)
                    m.next = "RUN"
            with m.State("RUN"):
                with m.If(head.done):
                    with m.If(full):
                        m.next = "LOGITS"
                    with m.Else():
                        m.next = "SETTLE"
            with m.State("LOGITS"):
                with m.If(~logits.busy):
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                m.d.comb += results.start.eq(1)
                m.next = "RESULTS"
            with m.State("RESULTS"):
                m.d.comb += [writing_results.eq(1), self.done.eq(results.done)]
                with m.If(results.done):
                    m.next = "IDLE"
        return m
