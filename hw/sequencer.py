"""Runs a pass: reads row records and descriptors, starts one unit after another, stops at END."""

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.axi_burst import REQUEST
from terntable.hw.descriptor_fetch import OPS, VERDICT, DescriptorFetch, descriptor_layout
from terntable.hw.kernel import delay
from terntable.hw.spec.config import WORD_BEATS
from terntable.hw.spec.program import Fault, Op

__all__ = ["Sequencer"]


class Sequencer(wiring.Component):
    """Fetches descriptors a block ahead and dispatches them in order.

    MATMUL only starts the ternary engine; what follows runs beside it. Descriptors that read the weight stream, or overwrite the
    engine's input, and END wait until the engine is idle. Descriptors of the head or shortlist that the pass has no use for are
    passed over.

    ==========  ======================================================
    Latency     `LATENCY` cycles from one unit's `unit_done` to the next unit's start, when the next descriptor is there
    Stall       waits for the running unit; a vector descriptor with weight scales runs the scalar unit first
    ==========  ======================================================

    Parameters
    ----------
    beat_bytes, rows : as in the configuration.
    limits : for each opcode the largest `length` that this instance holds; that of SHORTLIST also for its matrix.
    max_inputs : most columns into a matrix product.

    Members
    -------
    start : a pulse begins a pass of `rows_count` rows; `done` pulses at its end.
    request, i : of the row records, first, and of the descriptors; `rows_next` says that beats go to the row table.
    op, descriptor : what is dispatched; `unit_start`, a bit for each opcode, tells its unit for a cycle, `unit_done` ends it;
        `active`, a bit for each opcode too, and `running` from the one to the cycle after the other.
    units_ready : every unit but the engine takes a command, as they do from the cycle after their `unit_done` on.
    factor_start, factor_done : the scalar unit's factor step, likewise.
    engine_busy : the ternary engine has a matrix; `engine_wait` while a descriptor waits for it.
    any_output, any_logits : of the row table.
    two_stage : the pass has a shortlist and needs no full logits; from the row table's `table_done` on.
    stream_request : asks for the weight stream, once a pass, in wide beats; then for the shortlist, if the pass is two-stage.
    fault : a cause, held for a cycle.
    completed : pulses for each finished descriptor; `index` is the current one's.

    """

    LATENCY = 3

    def __init__(self, *, beat_bytes: int, rows: int, limits: dict[Op, int], max_inputs: int) -> None:
        if beat_bytes not in (8, 16, 32, 64):
            raise ValueError(f"beat_bytes must be 8, 16, 32 or 64, not {beat_bytes!r}")
        self.beat_bytes, self.rows, self.limits = beat_bytes, rows, limits
        self.max_inputs = max_inputs
        super().__init__({
            "start": In(1), "done": Out(1), "busy": Out(1),
            "rows_count": In(32), "rows_base": In(64), "program_base": In(64), "stream_base": In(64),
            "stream_words": In(32), "head_words": In(32), "shortlist_words": In(32), "shortlist_base": In(64),
            "request": Out(stream.Signature(REQUEST)), "i": In(stream.Signature(8 * beat_bytes)),
            "rows_next": Out(1), "table_start": Out(1), "table_done": In(1), "any_output": In(1), "any_logits": In(1),
            "two_stage": Out(1),
            "stream_request": Out(stream.Signature(REQUEST)),
            "op": Out(8), "descriptor": Out(descriptor_layout()), "index": Out(32), "running": Out(1), "active": Out(OPS),
            "unit_start": Out(OPS), "units_ready": In(1), "unit_done": In(1), "factor_start": Out(1), "factor_done": In(1),
            "engine_busy": In(1), "engine_wait": Out(1), "completed": Out(1), "fault": Out(8),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        index, current, verdict = Signal(32), Signal(descriptor_layout()), Signal(VERDICT)
        m.submodules.fetch = fetch = DescriptorFetch(beat_bytes=self.beat_bytes, limits=self.limits, max_inputs=self.max_inputs)
        wiring.connect(m, fetch.request, wiring.flipped(self.request))
        wiring.connect(m, wiring.flipped(self.i), fetch.i)
        m.d.comb += [
            self.index.eq(index), self.descriptor.eq(current), self.op.eq(current.op),
            fetch.rows_base.eq(self.rows_base), fetch.rows_count.eq(self.rows_count), fetch.program_base.eq(self.program_base),
            fetch.any_output.eq(self.any_output), fetch.two_stage.eq(self.two_stage),
        ]
        begin = Signal()
        settled = self._stream(m, begin)

        # What the units and their ends say is a cycle old, and so is what decides on the next descriptor: no path leads through.
        finish, ready, ended, rows_bad = Signal(), Signal(), Signal(), Signal()
        m.d.sync += [
            ready.eq(self.units_ready), ended.eq(self.unit_done), self.unit_start.eq(0), self.factor_start.eq(0),
            rows_bad.eq((self.rows_count == 0) | (self.rows_count > self.rows)),
        ]
        m.d.comb += self.completed.eq(finish)
        with m.If(finish):
            m.d.sync += index.eq(index + 1)

        def next_descriptor() -> None:
            with m.If(fetch.valid):
                m.d.comb += fetch.take.eq(1)
                m.d.sync += [current.eq(fetch.descriptor), verdict.eq(fetch.verdict)]
                m.next = "DISPATCH"
            with m.Else():
                m.next = "READ"

        def run() -> None:
            m.d.sync += [self.unit_start.eq(verdict.ops), self.active.eq(verdict.ops), self.running.eq(1)]
            m.next = "START"

        def stop(cause: Fault) -> None:
            m.d.comb += self.fault.eq(cause)
            m.d.sync += self.running.eq(1)
            m.next = "STOPPED"

        m.d.comb += self.busy.eq(1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.busy.eq(0)
                with m.If(self.start):
                    m.d.sync += index.eq(0)
                    m.next = "CHECK"
            with m.State("CHECK"):
                with m.If(rows_bad):
                    stop(Fault.BAD_ROW)
                with m.Else():
                    m.d.comb += [self.table_start.eq(1), fetch.ask_rows.eq(1)]
                    m.d.sync += self.rows_next.eq(1)
                    m.next = "ROWS"
            with m.State("ROWS"):
                with m.If(self.table_done):
                    m.d.sync += self.rows_next.eq(0)
                    m.d.comb += begin.eq(1)
                    m.next = "STREAM"
            with m.State("STREAM"):
                with m.If(settled):
                    m.d.sync += fetch.fetching.eq(1)
                    m.next = "READ"
            with m.State("READ"):
                next_descriptor()
            with m.State("DISPATCH"):
                with m.If(verdict.bad):
                    stop(Fault.BAD_DESCRIPTOR)
                with m.Elif(verdict.needs_engine & self.engine_busy):
                    m.d.comb += self.engine_wait.eq(1)
                with m.Elif(verdict.end):
                    m.d.comb += self.done.eq(1)
                    m.d.sync += fetch.fetching.eq(0)
                    m.next = "IDLE"
                with m.Elif(verdict.unused):
                    m.next = "FINISH"
                with m.Elif(ready):
                    with m.If(verdict.needs_factor):
                        m.d.sync += self.factor_start.eq(1)
                        m.next = "FACTOR"
                    with m.Else():
                        run()
            with m.State("FACTOR"):
                with m.If(self.factor_done):
                    run()
            with m.State("START"):
                m.next = "WAIT"
                with m.If(verdict.matmul):
                    m.d.sync += [self.active.eq(0), self.running.eq(0)]
                    m.next = "FINISH"
            with m.State("WAIT"):
                with m.If(ended):
                    m.d.sync += [self.active.eq(0), self.running.eq(0)]
                    m.d.comb += finish.eq(1)
                    next_descriptor()
            with m.State("FINISH"):
                m.d.comb += finish.eq(1)
                next_descriptor()
            with m.State("STOPPED"):
                pass
        return m

    def _stream(self, m: Module, begin: Signal) -> Value:
        """Asks for the weight stream some cycles after `begin`, when all that its length depends on has settled, as the result
        says; then for the shortlist, which follows the weights in the stream, from elsewhere in memory.
        """
        request, words, some, more = self.stream_request, Signal(33), Signal(), Signal()
        settled = delay(m, begin, name="settled", cycles=3)
        m.d.sync += [
            self.two_stage.eq(self.any_output & ~self.any_logits & self.shortlist_words.any()),
            words.eq(self.stream_words + (self.head_words & (self.any_output & ~self.two_stage).replicate(32))),
            some.eq(words != 0),
        ]
        with m.If(request.ready | ~request.valid):
            m.d.sync += [request.valid.eq(more), more.eq(0), request.payload.address.eq(self.shortlist_base),
                         request.payload.beats.eq(self.shortlist_words * WORD_BEATS)]
        with m.If(settled):
            m.d.sync += [request.valid.eq(some), more.eq(self.two_stage), request.payload.address.eq(self.stream_base),
                         request.payload.beats.eq(words * WORD_BEATS)]
        return settled
