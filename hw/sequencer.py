"""Runs a pass: reads row records and descriptors, starts one unit after another, stops at END."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from terntable.hw.axi_burst import REQUEST
from terntable.hw.spec.config import WORD_BEATS
from terntable.hw.spec.program import (
    DESCRIPTOR,
    DESCRIPTOR_BYTES,
    FETCH_DESCRIPTORS,
    OF_SHORTLIST,
    ROW_BYTES,
    Buffer,
    Fault,
    Op,
    VecMode,
)

__all__ = ["Sequencer", "descriptor_layout"]

#: Modes that need the factors F and F2 before they start.
SCALED = (VecMode.ADD, VecMode.GLU_RELU2, VecMode.GLU_SILU)

#: Blocks of descriptors on chip: one runs while the next is fetched.
BLOCKS = 2


def descriptor_layout() -> data.StructLayout:
    """A descriptor as bits, in the order of its bytes."""
    return data.StructLayout({name: 8 * DESCRIPTOR.fields[name][0].itemsize for name in DESCRIPTOR.names})


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
    op, descriptor : what is dispatched; `unit_start` asks its unit until `unit_ready`, `unit_done` ends it; `running` from the
        one to the other.
    factor_start, factor_ready, factor_done : the scalar unit's factor step.
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
            "op": Out(8), "descriptor": Out(descriptor_layout()), "index": Out(32), "running": Out(1),
            "unit_start": Out(1), "unit_ready": In(1), "unit_done": In(1),
            "factor_start": Out(1), "factor_ready": In(1), "factor_done": In(1),
            "engine_busy": In(1), "engine_wait": Out(1), "completed": Out(1), "fault": Out(8),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        index, current = Signal(32), Signal(descriptor_layout())
        upcoming, has_upcoming, take = Signal(descriptor_layout()), Signal(), Signal()
        fetching = Signal()
        m.d.comb += [self.index.eq(index), self.descriptor.eq(current), self.op.eq(current.op)]
        self._fetch(m, upcoming, has_upcoming, take, fetching)

        length_ok, mode_ok, needs_factor, needs_engine, unused, of_shortlist = (Signal(name=name) for name in (
            "length_ok", "mode_ok", "needs_factor", "needs_engine", "unused", "of_shortlist"))
        with m.Switch(current.op):
            for op, limit in self.limits.items():
                with m.Case(op):
                    fits = current.length <= limit
                    if op == Op.MATMUL:
                        fits = Mux(of_shortlist, current.length <= self.limits[Op.SHORTLIST], fits)
                    fits &= current.length != 0
                    if op in (Op.MATMUL, Op.HEAD):
                        fits &= (current.offset != 0) & (current.offset <= self.max_inputs) & (current.a <= OF_SHORTLIST)
                    if op in (Op.KV_STORE, Op.ATTENTION):
                        fits &= (current.c == 1) | (current.c == 2)
                    m.d.comb += length_ok.eq(fits)
            with m.Case(Op.END, Op.SCALAR):
                m.d.comb += length_ok.eq(1)
        vec = current.op == Op.VEC
        m.d.comb += [
            mode_ok.eq(~vec | (current.a <= max(VecMode)) & (current.b <= Buffer.PARTIAL) & (current.c <= Buffer.HEAD)),
            needs_factor.eq(vec & Cat(current.a == mode for mode in SCALED).any()),
            needs_engine.eq(Cat(current.op == op for op in (Op.MATMUL, Op.HEAD, Op.END)).any()
                            | vec & ((current.a == VecMode.NORM)
                                     | (current.a == VecMode.QUANT) & (current.c == Buffer.ACT))),
            of_shortlist.eq(current.a[0]),
            unused.eq((current.op == Op.HEAD) & ~self.any_output | ~self.two_stage & (
                (current.op == Op.SHORTLIST) | (current.op == Op.MATMUL) & of_shortlist)),
        ]
        m.d.sync += self.two_stage.eq(self.any_output & ~self.any_logits & self.shortlist_words.any())
        # The shortlist follows the weights in the stream, from elsewhere in memory.
        more = Signal()
        with m.If(more):
            m.d.comb += [
                self.stream_request.valid.eq(1), self.stream_request.payload.address.eq(self.shortlist_base),
                self.stream_request.payload.beats.eq(self.shortlist_words * WORD_BEATS),
            ]
            with m.If(self.stream_request.ready):
                m.d.sync += more.eq(0)
        finish = Signal()
        m.d.comb += self.completed.eq(finish)
        with m.If(finish):
            m.d.sync += index.eq(index + 1)

        def next_descriptor() -> None:
            with m.If(has_upcoming):
                m.d.comb += take.eq(1)
                m.d.sync += current.eq(upcoming)
                m.next = "DISPATCH"
            with m.Else():
                m.next = "READ"

        m.d.comb += self.busy.eq(1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.busy.eq(0)
                with m.If(self.start):
                    m.d.sync += index.eq(0)
                    m.next = "CHECK"
            with m.State("CHECK"):
                with m.If((self.rows_count == 0) | (self.rows_count > self.rows)):
                    m.d.comb += self.fault.eq(Fault.BAD_ROW)
                    m.next = "STOPPED"
                with m.Else():
                    m.d.comb += self.table_start.eq(1)
                    m.next = "ASK_ROWS"
            with m.State("ASK_ROWS"):
                m.d.comb += [
                    self.request.valid.eq(1), self.request.payload.address.eq(self.rows_base),
                    self.request.payload.beats.eq(self.rows_count * (ROW_BYTES // self.beat_bytes)),
                ]
                with m.If(self.request.ready):
                    m.next = "ROWS"
            with m.State("ROWS"):
                m.d.comb += self.rows_next.eq(1)
                with m.If(self.table_done):
                    m.next = "STREAM"
            with m.State("STREAM"):
                words = Signal(33)
                m.d.comb += [
                    words.eq(self.stream_words + (self.head_words & (self.any_output & ~self.two_stage).replicate(32))),
                    self.stream_request.valid.eq(words != 0),
                    self.stream_request.payload.address.eq(self.stream_base),
                    self.stream_request.payload.beats.eq(words * WORD_BEATS),
                ]
                with m.If(self.stream_request.ready | (words == 0)):
                    m.d.sync += [fetching.eq(1), more.eq(self.two_stage)]
                    m.next = "READ"
            with m.State("READ"):
                next_descriptor()
            with m.State("DISPATCH"):
                with m.If((current.op > max(Op)) | ~length_ok | ~mode_ok):
                    m.d.comb += self.fault.eq(Fault.BAD_DESCRIPTOR)
                    m.next = "STOPPED"
                with m.Elif(needs_engine & self.engine_busy):
                    m.d.comb += self.engine_wait.eq(1)
                with m.Elif(current.op == Op.END):
                    m.d.comb += self.done.eq(1)
                    m.d.sync += fetching.eq(0)
                    m.next = "IDLE"
                with m.Elif(unused):
                    m.next = "FINISH"
                with m.Elif(needs_factor):
                    m.next = "FACTOR"
                with m.Else():
                    m.next = "START"
            with m.State("FACTOR"):
                m.d.comb += self.factor_start.eq(1)
                with m.If(self.factor_ready):
                    m.next = "FACTOR_WAIT"
            with m.State("FACTOR_WAIT"):
                with m.If(self.factor_done):
                    m.next = "START"
            with m.State("START"):
                m.d.comb += [self.unit_start.eq(1), self.running.eq(1)]
                with m.If(self.unit_ready):
                    m.next = "WAIT"
                    with m.If(current.op == Op.MATMUL):
                        m.next = "FINISH"
            with m.State("WAIT"):
                m.d.comb += self.running.eq(1)
                with m.If(self.unit_done):
                    m.next = "FINISH"
            with m.State("FINISH"):
                m.d.comb += finish.eq(1)
                next_descriptor()
            with m.State("STOPPED"):
                m.d.comb += self.running.eq(1)
        return m

    def _fetch(self, m: Module, upcoming: data.View, has_upcoming: Signal, take: Signal, fetching: Signal) -> None:
        """Blocks of descriptors to the store while there is room, and the next descriptor to `upcoming`.

        A program ends with END up to the end of a block, so nothing is asked for behind a block whose last descriptor is END.
        """
        width = max(self.beat_bytes, DESCRIPTOR_BYTES)          # bytes of a word of the store
        per_word, parts = width // DESCRIPTOR_BYTES, width // self.beat_bytes
        count = BLOCKS * FETCH_DESCRIPTORS
        fetch_beats = FETCH_DESCRIPTORS * DESCRIPTOR_BYTES // self.beat_bytes
        m.submodules.store = store = Memory(shape=unsigned(8 * width), depth=count // per_word, init=[])
        read, write = store.read_port(), store.write_port(granularity=8 * self.beat_bytes)

        asked, ended, asking = Signal(32), Signal(), Signal()    # blocks asked for; one is on its way; none comes after
        beat, place = Signal(range(BLOCKS * fetch_beats)), Signal(range(count))
        there = Signal(range(count + 1))                         # descriptors in the store
        whole, pick, picked, taken = (Signal(name=name) for name in ("whole", "pick", "picked", "taken"))
        part = beat[:parts.bit_length() - 1] if parts > 1 else Const(0, 1)
        fetched = read.data.word_select(place[:per_word.bit_length() - 1] if per_word > 1 else Const(0, 1), 8 * DESCRIPTOR_BYTES)
        last_op = self.i.payload[-8 * DESCRIPTOR_BYTES:][:8] if parts == 1 else None
        m.d.comb += [
            self.i.ready.eq(asking), taken.eq(self.i.valid & asking),
            write.addr.eq(beat >> (parts.bit_length() - 1)), write.data.eq(Cat(*[self.i.payload] * parts)),
            write.en.eq((taken << part)[:parts]),
            whole.eq(taken & ((beat == fetch_beats - 1) | (beat == BLOCKS * fetch_beats - 1))),
            read.addr.eq(place >> (per_word.bit_length() - 1)),
            pick.eq((there != 0) & ~has_upcoming & ~picked),
        ]
        first_beat = beat[:max(1, parts.bit_length() - 1)] == 0 if parts > 1 else None
        last_word_op = Signal(8)
        if parts > 1:
            # The opcode is in a descriptor's first beat, and the last descriptor's is still there at its last beat.
            with m.If(taken & first_beat):
                m.d.sync += last_word_op.eq(self.i.payload[:8])
        else:
            m.d.comb += last_word_op.eq(last_op)
        with m.If(fetching & ~asking & ~ended & (there <= count - FETCH_DESCRIPTORS) & ~self.rows_next):
            m.d.comb += [
                self.request.valid.eq(1),
                self.request.payload.address.eq(self.program_base + asked * (FETCH_DESCRIPTORS * DESCRIPTOR_BYTES)),
                self.request.payload.beats.eq(fetch_beats),
            ]
            with m.If(self.request.ready):
                m.d.sync += [asking.eq(1), asked.eq(asked + 1)]
        with m.If(taken):
            m.d.sync += beat.eq(Mux(beat == BLOCKS * fetch_beats - 1, 0, beat + 1))
        with m.If(whole):
            m.d.sync += [asking.eq(0), ended.eq(last_word_op == Op.END)]
        m.d.sync += [picked.eq(pick), there.eq(there + Mux(whole, FETCH_DESCRIPTORS, 0) - picked)]
        with m.If(picked):
            m.d.sync += [upcoming.eq(fetched), has_upcoming.eq(1), place.eq(Mux(place == count - 1, 0, place + 1))]
        with m.Elif(take):
            m.d.sync += has_upcoming.eq(0)
        with m.If(~fetching):
            m.d.sync += [asked.eq(0), ended.eq(0), there.eq(0), place.eq(0), beat.eq(0), has_upcoming.eq(0), picked.eq(0)]
