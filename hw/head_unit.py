"""The head with what follows it: candidates, full logits, results."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.axi_burst import REQUEST
from terntable.hw.head import COMMAND, Head
from terntable.hw.logit_writer import LogitWriter
from terntable.hw.result_writer import ResultWriter
from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.layout import head_block
from terntable.hw.spec.program import RowFlag
from terntable.hw.topk import TopK

__all__ = ["HeadUnit"]

#: Vocabulary rows whose logits are written together; a head block at least.
WRITE_BLOCK = 64


class HeadUnit(wiring.Component):
    """Runs a HEAD descriptor: logits stream to the top-k, and to memory for rows that want them all; then results are written.

    ==========  ======================================================
    Throughput  that of the head; full logits hold it up while blocks are written
    Stall       waits for the weight stream and the write port; `done` comes when the results are acknowledged
    ==========  ======================================================

    Members
    -------
    command, count, d, act_address, act_data, weights, array, wait_word : of `Head`.
    flags : of the rows.
    result_base, logits_base : where results go.
    request, o, write_idle : the write port, in its own beats.
    invalid : a logit is INVALID, in the cycle after it came.
    done : the results are acknowledged.

    """

    def __init__(self, *, config: HardwareConfig) -> None:
        self.config = config
        rows = config.rows
        head = Head(rows=rows, beat_bytes=config.beat_bytes, lanes=config.lanes, max_hidden=config.max_hidden,
                    max_vocab=config.max_vocab)
        self.parts = {
            "head": head,
            "topk": TopK(rows=rows, k=config.top_k, index_bits=config.max_vocab.bit_length()),
            "logits": LogitWriter(rows=rows, beat_bytes=config.port_bytes, block=max(WRITE_BLOCK, head_block(config))),
            "results": ResultWriter(rows=rows, k=config.top_k, beat_bytes=config.port_bytes),
        }
        of_head = {name: head.signature.members[name]
                   for name in ("count", "d", "act_address", "act_data", "weights", "array", "wait_word")}
        super().__init__({
            "command": In(stream.Signature(COMMAND)), **of_head, "flags": In(data.ArrayLayout(3, rows)),
            "result_base": In(64), "logits_base": In(64),
            "request": Out(stream.Signature(REQUEST)), "o": Out(stream.Signature(8 * config.port_bytes)), "write_idle": In(1),
            "invalid": Out(1), "done": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        for name, part in self.parts.items():
            m.submodules[name] = part
        head, topk, logits, results = self.parts.values()
        wiring.connect(m, wiring.flipped(self.weights), head.weights)
        wiring.connect(m, head.array, wiring.flipped(self.array))
        block, vocab = head_block(self.config), Signal(32)
        wants, full, both, item = Signal(self.config.rows), Signal(), Signal(), head.o.payload
        writing_results = Signal()
        m.d.comb += [
            head.command.payload.eq(self.command.payload), head.count.eq(self.count), head.d.eq(self.d),
            self.act_address.eq(head.act_address), head.act_data.eq(self.act_data), self.wait_word.eq(head.wait_word),
            # Both takers take a logit in the same cycle.
            both.eq(topk.i.ready & (logits.i.ready | ~full)), head.o.ready.eq(both),
            *(topk.i.payload[name].eq(item[name]) for name in ("index", "row", "logit")),
            topk.i.valid.eq(head.o.valid & both & ~item.padding),
            logits.i.payload.eq(item), logits.i.valid.eq(head.o.valid & both & full),
            logits.enable.eq(wants), logits.base.eq(self.logits_base),
            logits.stride.eq((vocab + block - 1 >> (block.bit_length() - 1)) << (block.bit_length() + 1)),
            topk.row.eq(results.row), topk.place.eq(results.place),
            results.best_index.eq(topk.best_index), results.best_logit.eq(topk.best_logit),
            results.count.eq(self.count), results.base.eq(self.result_base), results.write_idle.eq(self.write_idle),
        ]
        # Flags stay as they are all through the pass.
        m.d.sync += [
            wants.eq(Cat((flags & RowFlag.LOGITS) != 0 for flags in self.flags)), full.eq(wants.any()),
            self.invalid.eq(head.o.valid & ~item.padding & item.logit[23:31].all()),
        ]
        for source, beats, chosen in ((logits.request, logits.o, ~writing_results), (results.request, results.o, writing_results)):
            with m.If(chosen):
                m.d.comb += [
                    self.request.valid.eq(source.valid), self.request.payload.eq(source.payload),
                    source.ready.eq(self.request.ready),
                    self.o.valid.eq(beats.valid), self.o.payload.eq(beats.payload), beats.ready.eq(self.o.ready),
                ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.command.ready.eq(head.command.ready), head.command.valid.eq(self.command.valid),
                             topk.clear.eq(self.command.valid & self.command.ready)]
                with m.If(topk.clear):
                    m.d.sync += vocab.eq(self.command.payload.vocab)
                    m.next = "RUN"
            with m.State("RUN"):
                with m.If(head.done):
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                # The last candidates and logits are still on their way.
                with m.If(topk.idle & ~(logits.busy & full)):
                    m.d.comb += results.start.eq(1)
                    m.next = "RESULTS"
            with m.State("RESULTS"):
                m.d.comb += [writing_results.eq(1), self.done.eq(results.done)]
                with m.If(results.done):
                    m.next = "IDLE"
        return m
