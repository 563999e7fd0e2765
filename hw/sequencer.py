"""Runs a pass: reads row records and descriptors, starts one unit after another, stops at END."""

from amaranth.hdl import Cat, Const, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from terntable.hw.axi_burst import REQUEST
from terntable.hw.spec.program import (
    DESCRIPTOR,
    DESCRIPTOR_BYTES,
    FETCH_DESCRIPTORS,
    ROW_BYTES,
    Buffer,
    Fault,
    Op,
    VecMode,
)
from terntable.hw.vector import PARTIAL_MODES

__all__ = ["Owner", "Sequencer", "descriptor_layout"]


def descriptor_layout() -> data.StructLayout:
    """A descriptor as bits, in the order of its bytes."""
    return data.StructLayout({name: 8 * DESCRIPTOR.fields[name][0].itemsize for name in DESCRIPTOR.names})


class Owner:
    """Who gets the beats of the data port."""

    SEQUENCER = 0
    ROWS = 1
    UNIT = 2


class Sequencer(wiring.Component):
    """Fetches descriptors in aligned blocks and dispatches them in order.

    ==========  ======================================================
    Latency     `LATENCY` cycles from one unit's `unit_done` to the next unit's start, within a block
    Stall       waits for the running unit; a vector descriptor with a weight scale runs the scalar unit first
    ==========  ======================================================

    Parameters
    ----------
    beat_bytes, rows : as in the configuration.
    limits : for each opcode the largest `length` that this instance holds.
    max_inputs, max_group : most columns into a matrix product, most query heads of an attention.

    Members
    -------
    start : a pulse begins a pass of `rows_count` rows; `done` pulses at its end.
    op, descriptor : what runs; `unit_start` asks its unit until `unit_ready`, `unit_done` ends it.
    factor_start, factor_ready, factor_done : the scalar unit's factor step.
    stream_request : asks for the weight stream, once a pass.
    fault : a cause, held for a cycle.
    completed : pulses for each finished descriptor; `index` is the current one's.

    """

    LATENCY = 5

    def __init__(self, *, beat_bytes: int, rows: int, limits: dict[Op, int], max_inputs: int, max_group: int) -> None:
        if beat_bytes not in (8, 16, 32, 64):
            raise ValueError(f"beat_bytes must be 8, 16, 32 or 64, not {beat_bytes!r}")
        self.beat_bytes, self.rows, self.limits = beat_bytes, rows, limits
        self.max_inputs, self.max_group = max_inputs, max_group
        super().__init__({
            "start": In(1), "done": Out(1), "busy": Out(1),
            "rows_count": In(32), "rows_base": In(64), "program_base": In(64), "stream_base": In(64),
            "stream_beats": In(32), "head_beats": In(32),
            "request": Out(stream.Signature(REQUEST)), "i": In(stream.Signature(8 * beat_bytes)),
            "owner": Out(2), "table_start": Out(1), "table_done": In(1), "any_output": In(1),
            "stream_request": Out(stream.Signature(REQUEST)),
            "op": Out(8), "descriptor": Out(descriptor_layout()), "index": Out(32),
            "unit_start": Out(1), "unit_ready": In(1), "unit_done": In(1),
            "factor_start": Out(1), "factor_ready": In(1), "factor_done": In(1),
            "completed": Out(1), "fault": Out(8),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        width = max(self.beat_bytes, DESCRIPTOR_BYTES)          # bytes of a word of the descriptor store
        per_word, parts = width // DESCRIPTOR_BYTES, width // self.beat_bytes
        depth = FETCH_DESCRIPTORS // per_word
        m.submodules.store = store = Memory(shape=unsigned(8 * width), depth=depth, init=[])
        read, write = store.read_port(), store.write_port(granularity=8 * self.beat_bytes)
        fetch_beats = FETCH_DESCRIPTORS * DESCRIPTOR_BYTES // self.beat_bytes

        index, beat = Signal(32), Signal(range(fetch_beats + 1))
        current = Signal(descriptor_layout())
        local = index[:FETCH_DESCRIPTORS.bit_length() - 1]
        m.d.comb += [
            self.index.eq(index), self.descriptor.eq(current), self.op.eq(current.op),
            read.addr.eq(local >> (per_word.bit_length() - 1)),
            write.addr.eq(beat >> (parts.bit_length() - 1)),
            write.data.eq(Cat(*[self.i.payload] * parts)),
        ]
        part = beat[:parts.bit_length() - 1] if parts > 1 else Const(0, 1)
        fetched = read.data.word_select(local[:per_word.bit_length() - 1] if per_word > 1 else Const(0, 1),
                                        8 * DESCRIPTOR_BYTES)

        length_ok, mode_ok, needs_factor = Signal(), Signal(), Signal()
        with m.Switch(current.op):
            for op, limit in self.limits.items():
                with m.Case(op):
                    fits = (current.length != 0) & (current.length <= limit)
                    if op in (Op.MATMUL, Op.HEAD):
                        fits &= (current.offset != 0) & (current.offset <= self.max_inputs)
                    if op == Op.ATTENTION:
                        fits &= (current.b != 0) & (current.b <= self.max_group)
                    m.d.comb += length_ok.eq(fits)
            with m.Case(Op.END, Op.SCALAR):
                m.d.comb += length_ok.eq(1)
        m.d.comb += [
            mode_ok.eq((current.op != Op.VEC)
                       | (current.a <= max(VecMode))
                       & (current.b <= Buffer.PARTIAL) & (current.c <= Buffer.HEAD)),
            needs_factor.eq((current.op == Op.VEC) & Cat(current.a == mode for mode in PARTIAL_MODES).any()),
        ]
        finish = Signal()
        m.d.comb += self.completed.eq(finish)
        with m.If(finish):
            m.d.sync += index.eq(index + 1)

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
                m.d.comb += self.owner.eq(Owner.ROWS)
                with m.If(self.table_done):
                    m.next = "STREAM"
            with m.State("STREAM"):
                beats = Signal(33)
                m.d.comb += [
                    beats.eq(self.stream_beats + (self.head_beats & self.any_output.replicate(32))),
                    self.stream_request.valid.eq(beats != 0),
                    self.stream_request.payload.address.eq(self.stream_base),
                    self.stream_request.payload.beats.eq(beats),
                ]
                with m.If(self.stream_request.ready | (beats == 0)):
                    m.next = "ASK"
            with m.State("ASK"):
                m.d.comb += [
                    self.request.valid.eq(1),
                    self.request.payload.address.eq(self.program_base + index * DESCRIPTOR_BYTES),
                    self.request.payload.beats.eq(fetch_beats),
                ]
                m.d.sync += beat.eq(0)
                with m.If(self.request.ready):
                    m.next = "FETCH"
            with m.State("FETCH"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.comb += write.en.eq(1 << part)
                    m.d.sync += beat.eq(beat + 1)
                    with m.If(beat == fetch_beats - 1):
                        m.next = "READ"
            with m.State("READ"):
                m.next = "LATCH"
            with m.State("LATCH"):
                m.d.sync += current.eq(fetched)
                m.next = "DISPATCH"
            with m.State("DISPATCH"):
                with m.If((current.op > max(Op)) | ~length_ok | ~mode_ok):
                    m.d.comb += self.fault.eq(Fault.BAD_DESCRIPTOR)
                    m.next = "STOPPED"
                with m.Elif(current.op == Op.END):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
                with m.Elif((current.op == Op.HEAD) & ~self.any_output):
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
                m.d.comb += [self.unit_start.eq(1), self.owner.eq(Owner.UNIT)]
                with m.If(self.unit_ready):
                    m.next = "WAIT"
            with m.State("WAIT"):
                m.d.comb += self.owner.eq(Owner.UNIT)
                with m.If(self.unit_done):
                    m.next = "FINISH"
            with m.State("FINISH"):
                m.d.comb += finish.eq(1)
                with m.If(local == FETCH_DESCRIPTORS - 1):
                    m.next = "ASK"
                with m.Else():
                    m.next = "READ"
            with m.State("STOPPED"):
                m.d.comb += self.owner.eq(Owner.UNIT)
        return m
