"""Everything that a pass uses: memory ports, buffers, units, and the wires between them.

The sequencer starts one unit at a time, so ports and buffers are shared by who runs; the ternary engine runs beside the others.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.attention import Attention
from terntable.hw.axi import ReadPort, WritePort
from terntable.hw.axi_burst import REQUEST
from terntable.hw.axi_write import AxiWrite
from terntable.hw.column_memory import ColumnMemory
from terntable.hw.head_unit import HeadKind, HeadUnit
from terntable.hw.int8_array import Int8Array
from terntable.hw.kernel import delay, register
from terntable.hw.kv_fetch import KvFetch
from terntable.hw.kv_store import KvStore
from terntable.hw.memory_ports import MemoryPorts
from terntable.hw.read_mux import ReadMux
from terntable.hw.register_slice import RegisterSlice
from terntable.hw.regroup import RegroupMemory
from terntable.hw.row_loader import LoadKind, RowLoader
from terntable.hw.row_table import RowTable
from terntable.hw.scalar import FACTOR, ScalarUnit
from terntable.hw.sequencer import Sequencer
from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.layout import round_up, shortlist_outputs
from terntable.hw.spec.numbers import HEAD_ACT_BITS
from terntable.hw.spec.parts import part_of
from terntable.hw.spec.program import Buffer, Fault, Op
from terntable.hw.supervisor import EVENTS
from terntable.hw.tlmm import Tlmm
from terntable.hw.vector import VectorUnit

__all__ = ["BASES", "COUNTS", "Datapath", "parts_of"]

BASES = ("program_base", "rows_base", "stream_base", "shortlist_base", "embed_base", "rope_base", "kv_base", "result_base",
         "logits_base")
COUNTS = ("rows", "stream_words", "head_words", "shortlist_words")

#: Clients of the data reads, most urgent first; attention reads longest, so it comes last.
READERS = ("sequencer", "loader", "kv_store", "head", "attention")

#: Reads on their way: candidates of the head are a beat each, and come from all over memory.
READS = 32


def parts_of(config: HardwareConfig) -> dict[str, wiring.Component]:
    """A new instance of every unit of the datapath, by the name it has there."""
    shared = {"rows": config.rows, "lanes": config.lanes}
    wide = {"beat_bytes": config.beat_bytes, "port_bytes": config.port_bytes}
    depth = config.max_activations // config.lanes
    # Two heads at most share a record.
    record = round_up(2 * config.max_head_dim, config.beat_bytes)
    listed = shortlist_outputs(config.max_vocab, config)
    limits = {Op.EMBED: config.max_hidden, Op.ROPE: config.max_head_dim // 2, Op.VEC: config.max_activations,
              Op.MATMUL: config.max_outputs, Op.KV_STORE: config.max_head_dim, Op.ATTENTION: config.max_head_dim,
              Op.HEAD: config.max_vocab, Op.MOVE: config.beat_bytes, Op.SHORTLIST: listed}
    slots, query_words = config.max_heads + 4, config.max_query // config.lanes
    tlmm = Tlmm(**shared, word_bytes=config.word_bytes, outputs=config.outputs, block_outputs=config.block_outputs,
                max_outputs=max(config.max_outputs, listed), max_inputs=config.max_activations,
                queue_words=config.partial_columns // config.outputs)
    return {
        "ports": MemoryPorts(config=config),
        "mux": ReadMux(clients=READERS, beat_bytes=config.beat_bytes, depth=READS),
        "writer": AxiWrite(beat_bytes=config.port_bytes, burst_beats=config.burst_beats),
        "sequencer": Sequencer(beat_bytes=config.beat_bytes, rows=config.rows, limits=limits, max_inputs=config.max_activations),
        "table": RowTable(rows=config.rows, beat_bytes=config.beat_bytes),
        "loader": RowLoader(**shared, beat_bytes=config.beat_bytes, depth=depth),
        "x": ColumnMemory(**shared, width=32, depth=config.max_hidden // config.lanes, style="block"),
        "y": ColumnMemory(**shared, width=32, depth=depth, by_row=False, style=part_of(config.name).large_memory),
        "rope": ColumnMemory(**shared, width=32, depth=max(1, config.max_head_dim // config.lanes)),
        "act": ColumnMemory(**shared, width=8, depth=depth, by_row=False, style="block"),
        "query": ColumnMemory(**shared, width=8, depth=query_words, by_row=False),
        "head_act": ColumnMemory(**shared, width=HEAD_ACT_BITS, depth=config.max_hidden // config.lanes, by_row=False,
                                 style="block"),
        "key": RegroupMemory(**shared, beat=config.port_bytes, width=8, depth=record),
        "value": RegroupMemory(**shared, beat=config.port_bytes, width=8, depth=record),
        "tlmm": tlmm,
        "vector": VectorUnit(**shared, word_bytes=config.word_bytes, outputs=config.outputs, sum_bits=tlmm.sum_bits,
                             glu_units=config.glu_units),
        "scalar": ScalarUnit(rows=config.rows, slots=slots),
        "array": Int8Array(rows=config.rows, lanes=config.beat_bytes, load_lanes=config.lanes),
        "attention": Attention(**shared, **wide, max_context=config.max_context, max_head_dim=config.max_head_dim,
                               scale_slots=slots, query_words=query_words),
        "kv_fetch": KvFetch(**wide),
        "kv_store": KvStore(rows=config.rows, **wide, first_slot=config.max_heads, max_dim=record),
        "head": HeadUnit(config=config, sum_bits=tlmm.sum_bits),
    }


class Datapath(wiring.Component):
    """Runs passes; holds no status and no counters, so that a reset leaves those alone.

    Members
    -------
    start, done : a pulse begins a pass, a pulse ends it.
    abort : no new memory traffic; `drained` says that none was in flight a cycle before.
    fault : cause of two cycles before, 0 for none, with the descriptor's `index`; `op` of the one whose unit is `unit_running`.
    bus0 ..., write : the memory ports.
    stream_beats, data_beats, write_beat, <name>_event : what the supervisor counts.

    """

    def __init__(self, config: HardwareConfig) -> None:
        self.config = config
        width = 8 * config.port_bytes
        super().__init__({
            "start": In(1), "done": Out(1), "abort": In(1), "drained": Out(1),
            **{name: In(32) for name in COUNTS}, **{name: In(64) for name in BASES},
            "fault": Out(8), "index": Out(32), "op": Out(8), "unit_running": Out(1), "completed": Out(1),
            "stream_beats": Out(config.ports), "data_beats": Out(config.ports), "write_beat": Out(1),
            **{f"{name}_event": Out(1) for name in EVENTS},
            **{f"bus{port}": Out(ReadPort(width)) for port in range(config.ports)}, "write": Out(WritePort(width)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        parts = parts_of(self.config)
        for name, part in parts.items():
            m.submodules[name] = part
        self.__dict__.update({f"_{name}": part for name, part in parts.items()})
        self._control(m)
        self._stream_routes(m)
        self._read_routes(m)
        self._write_routes(m)
        self._float_buffers(m)
        self._integer_buffers(m)
        self._commands(m)
        self._starts(m)
        self._array_routes(m)
        self._events(m)
        self._faults(m)
        return m

    def _running(self, *ops: Op):
        return Cat(self._sequencer.active[op] for op in ops).any()

    def _control(self, m: Module) -> None:
        sequencer, ports, table = self._sequencer, self._ports, self._table
        for port in range(self.config.ports):
            wiring.connect(m, ports.buses[port], wiring.flipped(getattr(self, f"bus{port}")))
        wiring.connect(m, self._writer.bus, wiring.flipped(self.write))
        m.d.comb += [
            sequencer.start.eq(self.start), sequencer.rows_count.eq(self.rows),
            *(getattr(sequencer, name).eq(getattr(self, name))
              for name in ("rows_base", "program_base", "stream_base", "shortlist_base", *COUNTS[1:])),
            sequencer.engine_busy.eq(self._tlmm.busy),
            self.op.eq(sequencer.op),
            self.unit_running.eq(sequencer.running), self.completed.eq(sequencer.completed),
            ports.abort.eq(self.abort), self._writer.abort.eq(self.abort),
            table.start.eq(sequencer.table_start), table.count.eq(self.rows),
            sequencer.table_done.eq(table.done), sequencer.any_output.eq(table.any_output),
            sequencer.any_logits.eq(table.any_logits),
        ]
        m.d.sync += self.drained.eq(ports.idle & self._writer.idle)
        for part in (self._loader, self._kv_store):
            m.d.comb += [part.table.eq(table.table), part.count.eq(self.rows)]
        m.d.comb += [self._loader.embed_base.eq(self.embed_base), self._loader.rope_base.eq(self.rope_base),
                     self._kv_store.kv_base.eq(self.kv_base), self._kv_fetch.base.eq(self.kv_base)]

    def _stream_routes(self, m: Module) -> None:
        """Words of the weight stream to whoever takes them, the engine, the head or a norm.

        Each takes words only while it runs, and the sequencer has one of them run at a time, so that nothing has to choose.
        """
        words = self._ports.weights
        wiring.connect(m, self._sequencer.stream_request, self._ports.weights_request)
        users = (self._tlmm.weights, self._head.weights, self._vector.weights)
        m.d.comb += [words.ready.eq(Cat(user.ready for user in users).any()),
                     *(user.payload.eq(words.payload) for user in users), *(user.valid.eq(words.valid) for user in users)]

    def _read_routes(self, m: Module) -> None:
        mux, sequencer = self._mux, self._sequencer
        wiring.connect(m, mux.request, self._ports.data_request)
        wiring.connect(m, self._ports.data, mux.i)
        for name, request in (("sequencer", sequencer.request), ("loader", self._loader.request),
                              ("kv_store", self._kv_store.read_request), ("head", self._head.read_request),
                              ("attention", self._kv_fetch.request)):
            wiring.connect(m, request, getattr(mux, f"{name}_request"))
        for name, sink in (("loader", self._loader.i), ("kv_store", self._kv_store.i), ("head", self._head.reads),
                           ("attention", self._attention.kv)):
            wiring.connect(m, getattr(mux, name), sink)
        # The row records come by the sequencer's request, before any descriptor; the table takes its beats and no others.
        for sink in (self._table.i, sequencer.i):
            m.d.comb += [sink.payload.eq(mux.sequencer.payload), sink.valid.eq(mux.sequencer.valid)]
        m.d.comb += mux.sequencer.ready.eq(self._table.i.ready | sequencer.i.ready)

    def _write_routes(self, m: Module) -> None:
        """Both users are far from the writer, whose `idle` counts what waits on the way."""
        writer, head = self._writer, self._head
        m.submodules.write_requests = asked = RegisterSlice(shape=REQUEST)
        m.submodules.write_beats = queued = RegisterSlice(shape=8 * self.config.port_bytes)
        wiring.connect(m, asked.o, writer.request)
        wiring.connect(m, queued.o, writer.i)
        for ops, request, beats in (((Op.KV_STORE, Op.MOVE), self._kv_store.write_request, self._kv_store.o),
                                    ((Op.HEAD,), head.request, head.o)):
            with m.If(self._running(*ops)):
                m.d.comb += [
                    asked.i.valid.eq(request.valid), asked.i.payload.eq(request.payload), request.ready.eq(asked.i.ready),
                    queued.i.valid.eq(beats.valid), queued.i.payload.eq(beats.payload), beats.ready.eq(queued.i.ready),
                ]
        idle = writer.idle & ~asked.o.valid & ~queued.o.valid
        m.d.comb += [self._kv_store.write_idle.eq(idle), head.write_idle.eq(idle)]

    def _float_buffers(self, m: Module) -> None:
        """X, Y and the rotary angles: read by the vector unit, written by it, by the loader and by attention."""
        vector, loader, attention = self._vector, self._loader, self._attention
        x, y, rope, shift = self._x, self._y, self._rope, self.config.lanes.bit_length() - 1
        every_row = (1 << self.config.rows) - 1
        m.d.comb += [
            x.read_enable.eq(vector.read_enable), y.read_enable.eq(vector.read_enable), rope.read_enable.eq(vector.read_enable),
            x.read_address.eq(vector.x_address), y.read_address.eq(vector.y_address), rope.read_address.eq(vector.rope_address),
            vector.x.eq(x.read_data), vector.y.eq(y.read_data), vector.rope.eq(rope.read_data),
        ]
        embedding = loader.kind == LoadKind.EMBED
        with m.If(self._running(Op.VEC)):
            m.d.comb += [
                x.write_rows.eq(Mux(vector.write_valid & (vector.destination == Buffer.X), every_row, 0)),
                x.write_address.eq(vector.write_column >> shift), x.write_data.eq(vector.write_float),
            ]
        with m.Else():
            m.d.comb += [
                x.write_rows.eq(Mux(embedding, loader.write_rows, 0)), x.write_address.eq(loader.write_address),
                x.write_data.eq(loader.write_data),
            ]
        m.d.comb += [
            rope.write_rows.eq(Mux(embedding, 0, loader.write_rows)),
            rope.write_address.eq(loader.write_address), rope.write_data.eq(loader.write_data),
        ]
        # Attention's words come in the order of their columns.
        written = Signal(16)
        m.d.comb += attention.o.ready.eq(1)
        with m.If(self._running(Op.ATTENTION)):
            m.d.comb += [
                y.write_rows.eq(Mux(attention.o.valid, every_row, 0)),
                y.write_address.eq((self._sequencer.descriptor.offset2 >> shift) + written),
                y.write_data.eq(attention.o.payload),
            ]
            m.d.sync += written.eq(written + attention.o.valid)
        with m.Else():
            m.d.sync += written.eq(0)
            m.d.comb += [
                y.write_rows.eq(Mux(vector.write_valid & (vector.destination == Buffer.Y), every_row, 0)),
                y.write_address.eq(vector.write_column >> shift), y.write_data.eq(vector.write_float),
            ]

    def _integer_buffers(self, m: Module) -> None:
        """Quantised vectors and their scales: written by the vector unit, read by whoever multiplies or stores them."""
        vector, attention, kv_store, scalar = self._vector, self._attention, self._kv_store, self._scalar
        shift, every_row = self.config.lanes.bit_length() - 1, (1 << self.config.rows) - 1
        for memory, buffer in ((self._act, Buffer.ACT), (self._query, Buffer.QUERY), (self._head_act, Buffer.HEAD)):
            m.d.comb += [
                memory.write_rows.eq(Mux(vector.write_valid & (vector.destination == buffer), every_row, 0)),
                memory.write_address.eq(vector.write_column >> shift),
                *(memory.write_data[lane][row].eq(vector.write_integer[lane][row])
                  for lane in range(self.config.lanes) for row in range(self.config.rows)),
            ]
        for memory, buffer in ((self._key, Buffer.KEY), (self._value, Buffer.VALUE)):
            m.d.comb += [
                memory.write_valid.eq(vector.write_valid & (vector.destination == buffer)),
                memory.write_column.eq(vector.write_column), memory.read_word.eq(kv_store.read_word),
                *(memory.write_data[lane][row].eq(vector.write_integer[lane][row])
                  for lane in range(self.config.lanes) for row in range(self.config.rows)),
            ]
        m.d.comb += [
            self._act.read_enable.eq(self._tlmm.act_enable), self._act.read_address.eq(self._tlmm.act_address),
            self._tlmm.act_data.as_value().eq(self._act.read_data),
            self._query.read_enable.eq(1), self._query.read_address.eq(attention.query_address),
            attention.query_data.as_value().eq(self._query.read_data),
            self._head_act.read_enable.eq(1), self._head_act.read_address.eq(self._head.act_address),
            self._head.act_data.as_value().eq(self._head_act.read_data),
            kv_store.read_data.eq(Mux(kv_store.value, self._value.read_data.as_value(), self._key.read_data.as_value())),
            scalar.slot_address.eq(Mux(self._running(Op.ATTENTION), attention.slot_address, kv_store.scale_slot)),
            attention.slot_data.eq(scalar.slot_data), kv_store.scale_data.eq(scalar.slot_data),
        ]

    def _commands(self, m: Module) -> None:
        """What each unit is told, from the descriptor."""
        d, op, table, shift = (self._sequencer.descriptor, self._sequencer.active, self._table.table,
                               self.config.lanes.bit_length() - 1)
        attention, head = self._attention, self._head
        slots = table[0].slot + self.rows
        commands = (
            (self._loader, {"kind": Mux(op[Op.ROPE], LoadKind.ROPE.value, LoadKind.EMBED.value), "length": d.length,
                            "stride": d.address2}),
            (self._vector, {"mode": d.a, "source": d.b, "destination": d.c, "length": d.length, "offset": d.offset,
                            "offset2": d.offset2, "bits16": d.c == Buffer.HEAD}),
            (self._scalar, {"kind": Mux(self._sequencer.factor_start, FACTOR, d.a), "scale_of": d.b, "imm": d.imm, "imm2": d.imm2,
                            "slot": d.c}),
            (self._tlmm, {"inputs": d.offset, "outputs": d.length}),
            (self._kv_store, {"move": op[Op.MOVE], "pack": d.c, "head_dim": d.length, "address": d.address,
                              "stride": d.address2}),
            (attention, {"slots": slots, "first_slot": d.a, "pack": d.c, "head_dim": d.length, "query_word": d.offset >> shift,
                         "imm": d.imm}),
            (self._kv_fetch, {"slots": slots, "head_dim": d.length, "pack": d.c, "address": d.address, "address2": d.address2}),
            (head, {"vocab": d.length, "inputs": d.offset,
                    "kind": Mux(op[Op.SHORTLIST], HeadKind.SHORTLIST.value,
                                Mux(d.a[0] & self._sequencer.two_stage, HeadKind.CANDIDATES.value, HeadKind.EXACT.value))}),
        )
        for unit, fields in commands:
            m.d.comb += [unit.command.payload[name].eq(value) for name, value in fields.items()]
        m.d.comb += [
            *(attention.prefix[row].eq(table[row].prefix) for row in range(self.config.rows)),
            *(attention.mask[row].eq(table[row].mask) for row in range(self.config.rows)),
            head.count.eq(self.rows), head.d.eq(self._scalar.d),
            head.result_base.eq(self.result_base), head.logits_base.eq(self.logits_base),
            *(head.flags[row].eq(table[row].flags) for row in range(self.config.rows)),
            *(getattr(self._vector, name).eq(getattr(self._scalar, name)) for name in ("s", "factor", "factor2")),
            self._scalar.sum.eq(self._vector.sum), self._scalar.amax.eq(self._vector.amax),
        ]
        # Parts of the stream's memory that the head reads in two stages; the words in between are two steps' additions.
        for base, start, words in ((head.head_base, self.stream_base, self.stream_words),
                                   (head.scales_base, self.shortlist_base, self.shortlist_words)):
            length, low = words * self.config.word_bytes, Signal(33)
            m.d.sync += [low.eq(start[:32] + length[:32]), base.eq(Cat(low[:32], (start[32:] + length[32:] + low[32])[:32]))]
        sums, lanes = self._tlmm.o, self._vector.partial
        m.d.comb += [
            *(user.payload.eq(sums.payload) for user in (lanes, head.partial)),
            # The lanes only take sums in a mode that does.
            lanes.valid.eq(sums.valid), head.partial.valid.eq(sums.valid & self._running(Op.SHORTLIST)),
            sums.ready.eq(lanes.ready | head.partial.ready),
        ]

    def _starts(self, m: Module) -> None:
        """Which unit a descriptor starts, and which one ends it."""
        sequencer, scalar = self._sequencer, self._scalar
        start = sequencer.unit_start
        # Attention and the unit that asks for its data start together.
        units = ((self._loader, start[Op.EMBED] | start[Op.ROPE]), (self._vector, start[Op.VEC]),
                 (scalar, start[Op.SCALAR] | sequencer.factor_start), (self._kv_store, start[Op.KV_STORE] | start[Op.MOVE]),
                 (self._attention, start[Op.ATTENTION]), (self._kv_fetch, start[Op.ATTENTION]),
                 (self._head, start[Op.HEAD] | start[Op.SHORTLIST]))
        m.d.comb += [
            self._tlmm.command.valid.eq(start[Op.MATMUL]), *(unit.command.valid.eq(chosen) for unit, chosen in units),
            # Only one of them runs.
            sequencer.units_ready.eq(Cat(unit.command.ready for unit, _ in units).all()),
            sequencer.unit_done.eq(Cat(unit.done for unit, _ in units if unit is not self._kv_fetch).any()),
            sequencer.factor_done.eq(scalar.done),
        ]

    def _array_routes(self, m: Module) -> None:
        """The multipliers belong to the head while it runs, or else to attention."""
        array = self._array
        for name, member in array.port.members.items():
            users = [getattr(user.array, name) for user in (self._attention, self._head)]
            if member.flow == In:
                m.d.comb += [user.eq(getattr(array, name)) for user in users]
        for user, chosen in ((self._attention.array, ~self._running(Op.HEAD)), (self._head.array, self._running(Op.HEAD))):
            with m.If(chosen):
                m.d.comb += [getattr(array, name).eq(getattr(user, name))
                             for name, member in array.port.members.items() if member.flow == Out]

    def _events(self, m: Module) -> None:
        tlmm, ports = self._tlmm, self._ports
        events = {
            "matmul_cycles": tlmm.busy, "engine_wait_cycles": self._sequencer.engine_wait,
            # From all over, so that each waits in a register first.
            "word_stalls": Cat(delay(m, unit.wait_word, name="waited") for unit in (tlmm, self._head, self._vector)).any(),
            "table_stalls": tlmm.wait_tables, "output_stalls": tlmm.wait_output, "partial_stalls": self._vector.wait_partial,
            "data_stalls": Cat(delay(m, unit.wait_data, name="waited") for unit in (self._attention, self._head)).any(),
            "ring_full_cycles": ports.ring_full,
        }
        m.d.comb += [getattr(self, f"{name}_event").eq(event) for name, event in events.items()]
        m.d.comb += [self.stream_beats.eq(ports.stream_beats), self.data_beats.eq(ports.data_beats),
                     self.write_beat.eq(self._writer.beat)]

    def _faults(self, m: Module) -> None:
        sequencer = self._sequencer

        def odd(word) -> Signal:
            return Cat(word.as_value().word_select(n, 32)[23:31].all() for n in range(len(word.as_value()) // 32)).any()

        loaded, attended = Signal(), Signal()
        m.d.sync += [
            loaded.eq((self._loader.write_rows != 0) & odd(self._loader.write_data)),
            attended.eq(self._attention.o.valid & self._running(Op.ATTENTION) & odd(self._attention.o.payload)),
        ]
        ports = self._ports
        rest = ports.weights_request.valid | ports.weights.valid | self._tlmm.o.valid | ~ports.idle
        # They come from everywhere, so that it takes two cycles to the supervisor. The first of a cycle's counts.
        signs = ((ports.error, Fault.READ_ERROR), (self._writer.error, Fault.WRITE_ERROR), (sequencer.fault != 0, None),
                 (sequencer.done & rest, Fault.BAD_DESCRIPTOR), (self._tlmm.illegal, Fault.BAD_WEIGHT),
                 (self._kv_store.bad_row, Fault.BAD_ROW),
                 (self._vector.invalid | loaded | attended | self._head.invalid, Fault.NUMERIC))
        seen, cause = Signal(len(signs)), register(m, sequencer.fault, name="cause")
        m.d.sync += [seen.eq(Cat(sign for sign, _ in signs)), self.fault.eq(0)]
        for n, (_, fault) in reversed(list(enumerate(signs))):
            with m.If(seen[n]):
                m.d.sync += self.fault.eq(cause if fault is None else fault)
        m.d.sync += [self.index.eq(register(m, sequencer.index, name="index")),
                     self.done.eq(delay(m, sequencer.done, name="ended") & ~seen.any())]
