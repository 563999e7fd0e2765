"""The head with what follows it: candidates, full logits, results; and the shortlist that may come before it."""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from terntable.hw.axi_burst import REQUEST
from terntable.hw.head import COMMAND, Head
from terntable.hw.head_gather import HeadGather
from terntable.hw.head_logits import LOGIT
from terntable.hw.kernel import delay, register
from terntable.hw.logit_writer import LogitWriter
from terntable.hw.register_slice import RegisterSlice
from terntable.hw.result_writer import ResultWriter
from terntable.hw.shapes import integers
from terntable.hw.shortlist_feed import ShortlistFeed
from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.layout import head_block, shortlist_size
from terntable.hw.spec.program import RowFlag
from terntable.hw.topk import TopK

__all__ = ["HeadKind", "HeadUnit"]

#: Vocabulary rows whose logits are written together; a head block at least.
WRITE_BLOCK = 64


class HeadKind(enum.Enum, shape=unsigned(2)):
    """What a command asks for: the best of the whole vocabulary, the shortlist, or the best of the shortlist."""

    EXACT = 0
    SHORTLIST = 1
    CANDIDATES = 2


class HeadUnit(wiring.Component):
    """Runs HEAD and SHORTLIST descriptors.

    EXACT: logits stream to the top-k, and to memory for rows that want them all; then results are written. SHORTLIST: sums of the
    ternary engine become scores, by the head's own last part, and each row's best go to a list of their own. CANDIDATES: as EXACT
    with no full logits, over a head of as many blocks as there are rows, each made of a row's list; a row takes its own block's.

    ==========  ======================================================
    Throughput  that of the head; full logits hold it up while blocks are written. SHORTLIST: a score per cycle, and while lists
                fill or get better that of the top-k
    Stall       waits for the weight stream, sums, reads and the write port; `done` comes when the results are acknowledged
    ==========  ======================================================

    Parameters
    ----------
    sum_bits : width of the ternary engine's sums.

    Members
    -------
    command : vocabulary, columns, and what to do.
    count, d, act_address, act_data, weights, array, wait_word : of `Head`.
    partial : the engine's sums, for SHORTLIST.
    head_base, scales_base : where the head lies, for CANDIDATES, and the shortlist's scales.
    read_request, reads : reads of scales and candidates, in wide beats.
    wait_data : candidates could go on, and what was read is not there.
    flags : of the rows.
    result_base, logits_base : where results go.
    request, o, write_idle : the write port, in its own beats.
    invalid : a logit or score is INVALID, in the cycle after it came.
    done : the results are acknowledged, or the shortlist is complete.

    """

    def __init__(self, *, config: HardwareConfig, sum_bits: int) -> None:
        self.config = config
        rows, size, index_bits = config.rows, shortlist_size(config), config.max_vocab.bit_length()
        head = Head(rows=rows, beat_bytes=config.beat_bytes, lanes=config.lanes, max_hidden=config.max_hidden,
                    max_vocab=max(config.max_vocab, rows * size))
        self.parts = {
            "head": head,
            "topk": TopK(rows=rows, k=config.top_k, index_bits=index_bits),
            "logits": LogitWriter(rows=rows, beat_bytes=config.port_bytes, block=max(WRITE_BLOCK, head_block(config))),
            "results": ResultWriter(rows=rows, k=config.top_k, beat_bytes=config.port_bytes),
            "feed": ShortlistFeed(rows=rows, outputs=config.outputs, beat_bytes=config.beat_bytes, sum_bits=sum_bits,
                                  bits=head.sum_bits, depth=head.depth),
            "shortlist": TopK(rows=rows, k=size, index_bits=index_bits),
            "gather": HeadGather(rows=rows, beat_bytes=config.beat_bytes, max_hidden=config.max_hidden, index_bits=index_bits),
        }
        of_head = {name: head.signature.members[name]
                   for name in ("count", "d", "act_address", "act_data", "weights", "array", "wait_word")}
        super().__init__({
            "command": In(stream.Signature(data.StructLayout({**COMMAND.members, "kind": HeadKind}))), **of_head,
            "flags": In(data.ArrayLayout(3, rows)),
            "partial": In(stream.Signature(integers(rows=rows, lanes=config.outputs, width=sum_bits))),
            "head_base": In(64), "scales_base": In(64),
            "read_request": Out(stream.Signature(REQUEST)), "reads": In(stream.Signature(8 * config.beat_bytes)),
            "wait_data": Out(1), "result_base": In(64), "logits_base": In(64),
            "request": Out(stream.Signature(REQUEST)), "o": Out(stream.Signature(8 * config.port_bytes)), "write_idle": In(1),
            "invalid": Out(1), "done": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        for name, part in self.parts.items():
            m.submodules[name] = part
        head, topk, logits, results, feed, shortlist, gather = self.parts.values()
        wiring.connect(m, head.array, wiring.flipped(self.array))
        block, command = head_block(self.config), Signal.like(self.command.payload)
        wants, full, both = Signal(self.config.rows), Signal(), Signal()
        writing_results, scoring, gathering, own = Signal(), Signal(), Signal(), Signal()
        # A logit goes on from registers, with its row of the whole vocabulary and whether it is a candidate.
        m.submodules.slice = out = RegisterSlice(shape=data.StructLayout({"logit": LOGIT, "index": 32, "counts": 1}))
        came, item, counts = head.o.payload, out.o.payload.logit, out.o.payload.counts
        m.d.comb += [
            head.count.eq(self.count), head.d.eq(self.d), head.scoring.eq(scoring),
            self.act_address.eq(head.act_address), head.act_data.eq(self.act_data),
            self.wait_word.eq(head.wait_word & ~gathering), self.wait_data.eq(head.wait_word & gathering),
            # Both takers take a logit in the same cycle.
            both.eq(topk.i.ready & (logits.i.ready | ~full)), out.o.ready.eq(Mux(scoring, shortlist.i.ready, both)),
            # A row's block is made of its own candidates, and means nothing to the others.
            own.eq(gather.used & (came.index[exact_log2(block):] == came.row)),
            out.i.valid.eq(head.o.valid), head.o.ready.eq(out.i.ready), out.i.payload.logit.eq(came),
            out.i.payload.index.eq(Mux(gathering, gather.index, came.index)),
            out.i.payload.counts.eq(~came.padding & (own | ~gathering)),
            *(taker.i.payload[name].eq(item[name]) for taker in (topk, shortlist) for name in ("row", "logit")),
            *(taker.i.payload.index.eq(out.o.payload.index) for taker in (topk, shortlist)),
            topk.i.valid.eq(out.o.valid & both & counts & ~scoring), shortlist.i.valid.eq(out.o.valid & counts & scoring),
            logits.i.payload.eq(item), logits.i.valid.eq(out.o.valid & both & full & ~scoring),
            logits.enable.eq(wants), logits.base.eq(self.logits_base),
            logits.stride.eq((command.vocab + block - 1 >> (block.bit_length() - 1)) << (block.bit_length() + 1)),
            topk.row.eq(results.row), topk.place.eq(results.place),
            results.best_index.eq(topk.best_index), results.best_logit.eq(topk.best_logit),
            results.count.eq(self.count), results.base.eq(self.result_base), results.write_idle.eq(self.write_idle),
        ]
        # Flags stay as they are all through the pass.
        m.d.sync += [
            wants.eq(Cat((flags & RowFlag.LOGITS) != 0 for flags in self.flags)), full.eq(wants.any()),
            self.invalid.eq(out.o.valid & counts & item.logit[23:31].all()),
        ]
        for source, beats, chosen in ((logits.request, logits.o, ~writing_results), (results.request, results.o, writing_results)):
            with m.If(chosen):
                m.d.comb += [
                    self.request.valid.eq(source.valid), self.request.payload.eq(source.payload),
                    source.ready.eq(self.request.ready),
                    self.o.valid.eq(beats.valid), self.o.payload.eq(beats.payload), beats.ready.eq(self.o.ready),
                ]
        # The last score is of the last row of the vocabulary, filled up for the engine.
        begin, scored, outputs = Signal(), Signal(), exact_log2(self.config.outputs)
        last = register(m, (((command.vocab - 1) >> outputs) << outputs) + (1 << outputs) - 1, name="last")
        m.d.sync += scored.eq(delay(m, out.o.valid & out.o.ready & item.end, name="taken")
                              & (register(m, item.index, name="index") == last))
        self._shortlist(m, begin, command, scoring, gathering)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.command.ready.eq(1)
                m.d.sync += command.eq(self.command.payload)
                with m.If(self.command.valid):
                    m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.comb += head.command.payload.eq(command)
                with m.Switch(command.kind):
                    with m.Case(HeadKind.EXACT):
                        m.d.comb += [topk.clear.eq(1), head.command.valid.eq(1)]
                        m.next = "RUN"
                    with m.Case(HeadKind.SHORTLIST):
                        m.d.comb += shortlist.clear.eq(1)
                        m.d.sync += scoring.eq(1)
                        m.next = "SCORE"
                    with m.Default():
                        m.d.comb += topk.clear.eq(1)
                        m.d.sync += gathering.eq(1)
                        m.next = "GATHER"
            with m.State("SCORE"):
                m.d.comb += begin.eq(1)
                m.next = "SCORES"
            with m.State("SCORES"):
                with m.If(scored):
                    m.next = "LISTED"
            with m.State("LISTED"):
                with m.If(shortlist.idle):
                    m.d.comb += self.done.eq(1)
                    m.d.sync += scoring.eq(0)
                    m.next = "IDLE"
            with m.State("GATHER"):
                m.d.comb += [
                    head.command.valid.eq(1), begin.eq(1), head.command.payload.inputs.eq(command.inputs),
                    head.command.payload.vocab.eq(self.count << exact_log2(block)),
                ]
                m.next = "RUN"
            with m.State("RUN"):
                with m.If(head.done):
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                # The last candidates and logits are still on their way.
                with m.If(topk.idle & ~(logits.busy & full) & ~out.o.valid):
                    m.d.comb += results.start.eq(1)
                    m.next = "RESULTS"
            with m.State("RESULTS"):
                m.d.comb += [writing_results.eq(1), self.done.eq(results.done)]
                with m.If(results.done):
                    m.d.sync += gathering.eq(0)
                    m.next = "IDLE"
        return m

    def _shortlist(self, m: Module, begin: Signal, command: data.View, scoring: Signal, gathering: Signal) -> None:
        """Sums and scales to scores, and lists to the head's weights; each starts at `begin` if it is its turn."""
        head, feed, shortlist, gather = (self.parts[name] for name in ("head", "feed", "shortlist", "gather"))
        wiring.connect(m, wiring.flipped(self.partial), feed.partial)
        wiring.connect(m, feed.o, head.scores)
        m.d.comb += [
            feed.start.eq(begin & scoring), feed.vocab.eq(command.vocab), feed.base.eq(self.scales_base),
            head.score_start.eq(begin & scoring), head.score_vocab.eq(command.vocab),
            head.score_scale_valid.eq(feed.scale_valid), head.score_scale.eq(feed.scale),
            gather.start.eq(begin & gathering), gather.count.eq(self.count), gather.inputs.eq(command.inputs),
            gather.base.eq(self.head_base), shortlist.row.eq(gather.row), shortlist.place.eq(gather.place),
            gather.candidate.eq(shortlist.best_index), gather.logit.eq(head.o.payload.index),
        ]
        for source, words, chosen in ((feed.request, feed.i, scoring), (gather.request, gather.i, gathering)):
            with m.If(chosen):
                m.d.comb += [self.read_request.valid.eq(source.valid), self.read_request.payload.eq(source.payload),
                             source.ready.eq(self.read_request.ready)]
            m.d.comb += [words.valid.eq(self.reads.valid), words.payload.eq(self.reads.payload)]
        # Each of them is ready only for what it asked for.
        m.d.comb += self.reads.ready.eq(feed.i.ready | gather.i.ready)
        for source, chosen in ((gather.o, gathering), (self.weights, ~gathering)):
            with m.If(chosen):
                m.d.comb += [head.weights.valid.eq(source.valid), head.weights.payload.eq(source.payload),
                             source.ready.eq(head.weights.ready)]
