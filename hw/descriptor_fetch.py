"""Fetches a program's descriptors a block ahead, and says of each what it asks of the sequencer."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from terntable.hw.axi_burst import REQUEST
from terntable.hw.kernel import delay
from terntable.hw.spec.program import (
    DESCRIPTOR,
    DESCRIPTOR_BYTES,
    FETCH_DESCRIPTORS,
    OF_SHORTLIST,
    ROW_BYTES,
    Buffer,
    Op,
    VecMode,
)

__all__ = ["OPS", "SCALED", "VERDICT", "DescriptorFetch", "descriptor_layout"]

#: Modes that need the factors F and F2 before they start.
SCALED = (VecMode.ADD, VecMode.GLU_RELU2, VecMode.GLU_SILU)

#: Bits of a signal with one for each opcode.
OPS = max(Op) + 1

#: What a descriptor asks of the sequencer itself: whether it is illegal, has no use in this pass, ends the pass, waits for the
#: engine, needs the factors, is only started; and its opcode, a bit for each.
VERDICT = data.StructLayout({"bad": 1, "unused": 1, "end": 1, "needs_engine": 1, "needs_factor": 1, "matmul": 1, "ops": OPS})

#: Blocks of descriptors on chip: one runs while the next is fetched.
BLOCKS = 2


def descriptor_layout() -> data.StructLayout:
    """A descriptor as bits, in the order of its bytes."""
    return data.StructLayout({name: 8 * DESCRIPTOR.fields[name][0].itemsize for name in DESCRIPTOR.names})


class DescriptorFetch(wiring.Component):
    """Keeps blocks of descriptors, and offers them one after another with the verdict on each.

    ==========  ======================================================
    Latency     `LATENCY` cycles from a descriptor taken to the next, if that is in a block that came
    Throughput  the same; a descriptor runs for longer
    Stall       waits for the memory ports and for whoever takes descriptors
    ==========  ======================================================

    Parameters
    ----------
    beat_bytes, limits, max_inputs : of :class:`terntable.hw.sequencer.Sequencer`.

    Members
    -------
    request, i : of the row records, once after the pulse `ask_rows`, and of descriptors while `fetching`.
    rows_base, rows_count, program_base : where they lie.
    any_output, two_stage : of the pass, from `fetching` on.
    valid, take : a descriptor is there, and is taken.
    descriptor, verdict : what it says, and what follows from it.

    """

    LATENCY = 5

    def __init__(self, *, beat_bytes: int, limits: dict[Op, int], max_inputs: int) -> None:
        self.beat_bytes, self.limits, self.max_inputs = beat_bytes, limits, max_inputs
        super().__init__({
            "request": Out(stream.Signature(REQUEST)), "i": In(stream.Signature(8 * beat_bytes)),
            "ask_rows": In(1), "rows_base": In(64), "rows_count": In(32), "fetching": In(1), "program_base": In(64),
            "any_output": In(1), "two_stage": In(1),
            "valid": Out(1), "take": In(1), "descriptor": Out(descriptor_layout()), "verdict": Out(VERDICT),
        })

    def elaborate(self, platform) -> Module:
        """Blocks go to the store while there is room.

        A program ends with END up to the end of a block, so nothing is asked for behind a block whose last descriptor is END.
        """
        m = Module()
        self._judge(m, self.descriptor)
        width = max(self.beat_bytes, DESCRIPTOR_BYTES)          # bytes of a word of the store
        per_word, parts = width // DESCRIPTOR_BYTES, width // self.beat_bytes
        count = BLOCKS * FETCH_DESCRIPTORS
        fetch_beats = FETCH_DESCRIPTORS * DESCRIPTOR_BYTES // self.beat_bytes
        m.submodules.store = store = Memory(shape=unsigned(8 * width), depth=count // per_word, init=[])
        read, write = store.read_port(), store.write_port(granularity=8 * self.beat_bytes)

        address, ended, asking = Signal(64), Signal(), Signal()  # of the next block; none comes after; one is on its way
        beat, place = Signal(range(BLOCKS * fetch_beats)), Signal(range(count))
        there = Signal(range(count + 1))                         # descriptors in the store
        whole, pick, picked, taken, wanted = (Signal(name=name) for name in ("whole", "pick", "picked", "taken", "wanted"))
        empty = Signal(init=1)                                   # `descriptor` is, and nothing is on its way there
        part = beat[:parts.bit_length() - 1] if parts > 1 else Const(0, 1)
        fetched = read.data.word_select(place[:per_word.bit_length() - 1] if per_word > 1 else Const(0, 1), 8 * DESCRIPTOR_BYTES)
        last_op = self.i.payload[-8 * DESCRIPTOR_BYTES:][:8] if parts == 1 else None
        m.d.comb += [
            self.i.ready.eq(asking), taken.eq(self.i.valid & asking),
            write.addr.eq(beat >> (parts.bit_length() - 1)), write.data.eq(Cat(*[self.i.payload] * parts)),
            write.en.eq((taken << part)[:parts]),
            whole.eq(taken & ((beat == fetch_beats - 1) | (beat == BLOCKS * fetch_beats - 1))),
            read.addr.eq(place >> (per_word.bit_length() - 1)),
            pick.eq((there != 0) & empty),
            wanted.eq(self.fetching & ~asking & ~ended & (there <= count - FETCH_DESCRIPTORS)),
        ]
        first_beat = beat[:max(1, parts.bit_length() - 1)] == 0 if parts > 1 else None
        last_word_op = Signal(8)
        if parts > 1:
            # The opcode is in a descriptor's first beat, and the last descriptor's is still there at its last beat.
            with m.If(taken & first_beat):
                m.d.sync += last_word_op.eq(self.i.payload[:8])
        else:
            m.d.comb += last_word_op.eq(last_op)
        with m.If(self.request.ready):
            m.d.sync += self.request.valid.eq(0)
        with m.If(self.ask_rows):
            m.d.sync += [
                self.request.valid.eq(1), self.request.payload.address.eq(self.rows_base),
                self.request.payload.beats.eq(self.rows_count * (ROW_BYTES // self.beat_bytes)),
            ]
        with m.If(wanted):
            m.d.sync += [
                self.request.valid.eq(1), self.request.payload.address.eq(address), self.request.payload.beats.eq(fetch_beats),
                asking.eq(1), address.eq(address + FETCH_DESCRIPTORS * DESCRIPTOR_BYTES),
            ]
        with m.If(taken):
            m.d.sync += beat.eq(Mux(beat == BLOCKS * fetch_beats - 1, 0, beat + 1))
        with m.If(whole):
            m.d.sync += [asking.eq(0), ended.eq(last_word_op == Op.END)]
        # Two cycles for the verdict.
        there_now = delay(m, picked, name="arrived", cycles=2)
        m.d.sync += [picked.eq(pick), there.eq(there + Mux(whole, FETCH_DESCRIPTORS, 0) - picked)]
        with m.If(pick):
            m.d.sync += empty.eq(0)
        with m.If(picked):
            m.d.sync += [self.descriptor.eq(fetched), place.eq(Mux(place == count - 1, 0, place + 1))]
        with m.If(there_now):
            m.d.sync += self.valid.eq(1)
        with m.Elif(self.take):
            m.d.sync += [self.valid.eq(0), empty.eq(1)]
        with m.If(~self.fetching):
            m.d.sync += [address.eq(self.program_base), ended.eq(0), there.eq(0), place.eq(0), beat.eq(0), self.valid.eq(0),
                         picked.eq(0), empty.eq(1)]
        return m

    def _judge(self, m: Module, item: data.View) -> None:
        """The verdict on a descriptor, two cycles after it: what is compared, then what follows from it."""
        fits = {op: Signal(name=f"fits_{op.name.lower()}") for op in self.limits}
        ops, fields_ok, vec_ok, records_ok = Signal(OPS), Signal(), Signal(), Signal()
        scaled, after_engine, listed = Signal(), Signal(), Signal()
        m.d.sync += [
            *(fit.eq((item.length <= self.limits[op]) & (item.length != 0)) for op, fit in fits.items()),
            *(ops[op].eq(item.op == op) for op in Op),
            fields_ok.eq((item.offset != 0) & (item.offset <= self.max_inputs) & (item.a <= OF_SHORTLIST)),
            vec_ok.eq((item.a <= max(VecMode)) & (item.b <= Buffer.PARTIAL) & (item.c <= Buffer.HEAD)),
            records_ok.eq((item.c == 1) | (item.c == 2)),
            scaled.eq(Cat(item.a == mode for mode in SCALED).any()), listed.eq(item.a[0]),
            after_engine.eq((item.a == VecMode.NORM) | (item.a == VecMode.QUANT) & (item.c == Buffer.ACT)),
        ]
        legal = []
        for op in Op:
            fit: Value = fits.get(op, Const(1, 1))
            if op == Op.MATMUL:
                fit = Mux(listed, fits[Op.SHORTLIST], fit)
            if op in (Op.MATMUL, Op.HEAD):
                fit &= fields_ok
            if op in (Op.KV_STORE, Op.ATTENTION):
                fit &= records_ok
            if op == Op.VEC:
                fit &= vec_ok
            legal.append(ops[op] & fit)
        verdict = self.verdict
        m.d.sync += [
            verdict.bad.eq(~Cat(legal).any()), verdict.ops.eq(ops), verdict.end.eq(ops[Op.END]), verdict.matmul.eq(ops[Op.MATMUL]),
            verdict.needs_factor.eq(ops[Op.VEC] & scaled),
            verdict.needs_engine.eq(ops[Op.MATMUL] | ops[Op.HEAD] | ops[Op.END] | ops[Op.VEC] & after_engine),
            verdict.unused.eq(ops[Op.HEAD] & ~self.any_output | ~self.two_stage & (
                ops[Op.SHORTLIST] | ops[Op.MATMUL] & listed)),
        ]
