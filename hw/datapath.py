"""Everything that a pass uses: memory ports, buffers, units, and the wires between them.

The sequencer starts one unit at a time, so ports and buffers are shared by who runs.
"""

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from terntable.hw.attention import Attention
from terntable.hw.axi import ReadPort, WritePort
from terntable.hw.axi_read import AxiRead
from terntable.hw.axi_write import AxiWrite
from terntable.hw.column_memory import ColumnMemory
from terntable.hw.column_reader import ColumnReader
from terntable.hw.head_unit import HeadUnit
from terntable.hw.int8_array import Int8Array
from terntable.hw.kv_fetch import KvFetch
from terntable.hw.kv_store import KvStore
from terntable.hw.regroup import RegroupMemory
from terntable.hw.row_loader import LoadKind, RowLoader
from terntable.hw.row_table import RowTable
from terntable.hw.scalar import FACTOR, ScalarUnit
from terntable.hw.sequencer import Owner, Sequencer
from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.layout import round_up
from terntable.hw.spec.numbers import HEAD_ACT_BITS
from terntable.hw.spec.program import Buffer, Fault, Op, VecMode
from terntable.hw.tlmm import Tlmm
from terntable.hw.vector import VectorUnit

__all__ = ["Datapath"]

BASES = ("program_base", "rows_base", "stream_base", "embed_base", "rope_base", "kv_base", "result_base", "logits_base")


class Datapath(wiring.Component):
    """Runs passes; holds no status and no counters, so that a reset leaves those alone.

    Members
    -------
    start, done : a pulse begins a pass, a pulse ends it.
    abort : no new memory traffic; `drained` says that none is in flight.
    fault : cause of the cycle, 0 for none; `index` and `op` of the running descriptor.

    """

    def __init__(self, config: HardwareConfig) -> None:
        self.config = config
        width = 8 * config.beat_bytes
        super().__init__({
            "start": In(1), "done": Out(1), "abort": In(1), "drained": Out(1),
            "rows": In(32), "stream_beats": In(32), "head_beats": In(32), **{name: In(64) for name in BASES},
            "fault": Out(8), "index": Out(32), "op": Out(8), "unit_running": Out(1), "completed": Out(1),
            "stream_beat": Out(1), "read_beat": Out(1), "write_beat": Out(1), "stream_stall": Out(1),
            "weights": Out(ReadPort(width)), "read": Out(ReadPort(width)), "write": Out(WritePort(width)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self.config
        shared = {"rows": config.rows, "lanes": config.lanes}
        depth = config.max_activations // config.lanes
        padded_dim = round_up(config.max_head_dim, config.beat_bytes)
        limits = {Op.EMBED: config.max_hidden, Op.ROPE: config.max_head_dim // 2, Op.VEC: config.max_outputs,
                  Op.MATMUL: config.max_outputs, Op.KV_STORE: padded_dim + config.beat_bytes,
                  Op.ATTENTION: config.max_head_dim, Op.HEAD: config.max_vocab, Op.MOVE: padded_dim + config.beat_bytes}

        parts = {
            "sequencer": Sequencer(beat_bytes=config.beat_bytes, rows=config.rows, limits=limits, max_inputs=config.max_activations,
                                   max_group=config.max_group),
            "table": RowTable(rows=config.rows, beat_bytes=config.beat_bytes),
            "loader": RowLoader(**shared, beat_bytes=config.beat_bytes, depth=depth),
            "stream": AxiRead(beat_bytes=config.beat_bytes, burst_beats=config.burst_beats),
            "reader": AxiRead(beat_bytes=config.beat_bytes, burst_beats=config.burst_beats),
            "writer": AxiWrite(beat_bytes=config.beat_bytes, burst_beats=config.burst_beats),
            "ring": SyncFIFOBuffered(width=8 * config.beat_bytes, depth=config.ring_beats),
            "x": ColumnMemory(**shared, width=32, depth=config.max_hidden // config.lanes),
            "y": ColumnMemory(**shared, width=32, depth=depth),
            "rope": ColumnMemory(**shared, width=32, depth=max(1, config.max_head_dim // config.lanes)),
            "act": ColumnMemory(**shared, width=8, depth=depth),
            "feed": ColumnReader(shape=data.ArrayLayout(data.ArrayLayout(unsigned(8), config.rows), config.lanes), depth=depth),
            "query": RegroupMemory(**shared, beat=config.beat_bytes, width=8, depth=config.max_heads * padded_dim),
            "key": RegroupMemory(**shared, beat=config.beat_bytes, width=8, depth=padded_dim),
            "value": RegroupMemory(**shared, beat=config.beat_bytes, width=8, depth=padded_dim),
            "head_act": RegroupMemory(**shared, beat=config.beat_bytes, width=HEAD_ACT_BITS,
                                      depth=round_up(config.max_hidden, config.beat_bytes)),
            "vector": VectorUnit(**shared, beat_bytes=config.beat_bytes),
            "scalar": ScalarUnit(rows=config.rows, slots=config.max_heads + 2),
            "tlmm": Tlmm(**shared, beat_bytes=config.beat_bytes, max_outputs=config.max_outputs,
                         max_inputs=config.max_activations),
            "attention": Attention(**shared, beat_bytes=config.beat_bytes, max_context=config.max_context,
                                   max_head_dim=config.max_head_dim, max_heads=config.max_heads,
                                   max_group=config.max_group),
            "array": Int8Array(rows=config.rows, lanes=config.beat_bytes),
            "kv_fetch": KvFetch(beat_bytes=config.beat_bytes),
            "kv_store": KvStore(rows=config.rows, beat_bytes=config.beat_bytes, key_slot=config.max_heads),
            "head": HeadUnit(config=config),
        }
        for name, part in parts.items():
            m.submodules[name] = part
        self.__dict__.update({f"_{name}": part for name, part in parts.items()})

        self._ports(m)
        self._stream_routes(m)
        self._read_routes(m)
        self._write_routes(m)
        self._vector_routes(m)
        self._unit_starts(m)
        self._array_routes(m)
        self._faults(m)
        return m

    def _running(self, *ops: Op):
        return Cat(self._sequencer.op == op for op in ops).any() & (self._sequencer.owner == Owner.UNIT)

    def _ports(self, m: Module) -> None:
        sequencer = self._sequencer
        wiring.connect(m, self._stream.bus, wiring.flipped(self.weights))
        wiring.connect(m, self._reader.bus, wiring.flipped(self.read))
        wiring.connect(m, self._writer.bus, wiring.flipped(self.write))
        m.d.comb += [
            sequencer.start.eq(self.start), sequencer.rows_count.eq(self.rows),
            *(getattr(sequencer, name).eq(getattr(self, name))
              for name in ("rows_base", "program_base", "stream_base", "stream_beats", "head_beats")),
            self.index.eq(sequencer.index), self.op.eq(sequencer.op),
            self.unit_running.eq(sequencer.owner == Owner.UNIT), self.completed.eq(sequencer.completed),
            self._stream.abort.eq(self.abort), self._reader.abort.eq(self.abort), self._writer.abort.eq(self.abort),
            self.drained.eq(self._stream.idle & self._reader.idle & self._writer.idle),
            self.stream_beat.eq(self._stream.beat), self.read_beat.eq(self._reader.beat), self.write_beat.eq(self._writer.beat),
            self._table.start.eq(sequencer.table_start), self._table.count.eq(self.rows),
            sequencer.table_done.eq(self._table.done), sequencer.any_output.eq(self._table.any_output),
        ]
        for part in (self._loader, self._kv_store):
            m.d.comb += [part.table.eq(self._table.table), part.count.eq(self.rows)]
        m.d.comb += [self._loader.embed_base.eq(self.embed_base), self._loader.rope_base.eq(self.rope_base),
                     self._kv_store.kv_base.eq(self.kv_base), self._kv_fetch.base.eq(self.kv_base)]

    def _stream_routes(self, m: Module) -> None:
        """Weight stream to the prefetch ring, and from there to whoever runs."""
        ring, wanted = self._ring, Signal()
        wiring.connect(m, self._sequencer.stream_request, self._stream.request)
        m.d.comb += [
            ring.w_data.eq(self._stream.o.payload), ring.w_en.eq(self._stream.o.valid), self._stream.o.ready.eq(ring.w_rdy),
        ]
        for user, ops in ((self._tlmm.weights, (Op.MATMUL,)), (self._head.weights, (Op.HEAD,)),
                          (self._vector.weights, (Op.VEC,))):
            m.d.comb += user.payload.eq(ring.r_data)
            with m.If(self._running(*ops)):
                m.d.comb += [user.valid.eq(ring.r_rdy), ring.r_en.eq(user.ready & ring.r_rdy)]
        m.d.comb += [
            wanted.eq(self._running(Op.MATMUL, Op.HEAD)
                      | self._running(Op.VEC) & (self._vector.mode == VecMode.NORM) & self._vector.busy),
            self.stream_stall.eq(wanted & ~ring.r_rdy),
        ]

    def _read_routes(self, m: Module) -> None:
        """Data port: requests in turn, beats to the owner."""
        reader, sequencer = self._reader, self._sequencer
        sources = (sequencer.request, self._loader.request, self._kv_fetch.request, self._kv_store.read_request)
        with m.If(sources[0].valid):
            m.d.comb += [reader.request.valid.eq(1), reader.request.payload.eq(sources[0].payload),
                         sources[0].ready.eq(reader.request.ready)]
        for source in sources[1:]:
            with m.Elif(source.valid):
                m.d.comb += [reader.request.valid.eq(1), reader.request.payload.eq(source.payload),
                             source.ready.eq(reader.request.ready)]
        for sink, chosen in (
            (sequencer.i, sequencer.owner == Owner.SEQUENCER), (self._table.i, sequencer.owner == Owner.ROWS),
            (self._loader.i, self._running(Op.EMBED, Op.ROPE)), (self._attention.kv, self._running(Op.ATTENTION)),
            (self._kv_store.i, self._running(Op.MOVE)),
        ):
            m.d.comb += sink.payload.eq(reader.o.payload)
            with m.If(chosen):
                m.d.comb += [sink.valid.eq(reader.o.valid), reader.o.ready.eq(sink.ready)]

    def _write_routes(self, m: Module) -> None:
        writer, head = self._writer, self._head
        for ops, request, beats in (((Op.KV_STORE, Op.MOVE), self._kv_store.write_request, self._kv_store.o),
                                    ((Op.HEAD,), head.request, head.o)):
            with m.If(self._running(*ops)):
                m.d.comb += [
                    writer.request.valid.eq(request.valid), writer.request.payload.eq(request.payload),
                    request.ready.eq(writer.request.ready),
                    writer.i.valid.eq(beats.valid), writer.i.payload.eq(beats.payload), beats.ready.eq(writer.i.ready),
                ]
        m.d.comb += [self._kv_store.write_idle.eq(writer.idle), head.write_idle.eq(writer.idle)]

    def _vector_routes(self, m: Module) -> None:
        """Buffers' read and write ports."""
        vector, scalar, loader = self._vector, self._scalar, self._loader
        x, y, shift = self._x, self._y, self.config.lanes.bit_length() - 1
        every_row = (1 << self.config.rows) - 1
        m.d.comb += [
            vector.inv.eq(scalar.inv), vector.scale.eq(scalar.s), vector.factor.eq(scalar.factor),
            scalar.sum.eq(vector.sum), scalar.amax.eq(vector.amax),
            x.read_enable.eq(vector.read_enable), y.read_enable.eq(vector.read_enable),
            self._rope.read_enable.eq(vector.read_enable), self._rope.read_address.eq(vector.rope_address),
            x.read_address.eq(Mux(vector.second_is_x, vector.second_address, vector.read_address)),
            y.read_address.eq(Mux(vector.source == Buffer.Y, vector.read_address, vector.second_address)),
            self._tlmm.sums_address.eq(vector.read_address),
            vector.x.eq(x.read_data), vector.y.eq(y.read_data), vector.rope.eq(self._rope.read_data),
            vector.partial.eq(self._tlmm.sums_data),
        ]
        # X: embeddings row by row, or results.
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
            self._rope.write_rows.eq(Mux(embedding, 0, loader.write_rows)),
            self._rope.write_address.eq(loader.write_address), self._rope.write_data.eq(loader.write_data),
        ]
        # Y: results, or attention's words in order.
        attention, written = self._attention, Signal(16)
        with m.If(self._running(Op.ATTENTION)):
            m.d.comb += [
                attention.o.ready.eq(1), y.write_rows.eq(Mux(attention.o.valid, every_row, 0)),
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
        # Integers.
        m.d.comb += [
            self._act.write_rows.eq(Mux(vector.write_valid & (vector.destination == Buffer.ACT), every_row, 0)),
            self._act.write_address.eq(vector.write_column >> shift),
        ]
        for lane in range(self.config.lanes):
            for row in range(self.config.rows):
                m.d.comb += self._act.write_data[lane][row].eq(vector.write_integer[lane][row])
        for memory, buffer in ((self._query, Buffer.QUERY), (self._key, Buffer.KEY), (self._value, Buffer.VALUE),
                               (self._head_act, Buffer.HEAD)):
            m.d.comb += [
                memory.write_valid.eq(vector.write_valid & (vector.destination == buffer)),
                memory.write_column.eq(vector.write_column),
            ]
            for lane in range(self.config.lanes):
                for row in range(self.config.rows):
                    m.d.comb += memory.write_data[lane][row].eq(vector.write_integer[lane][row])
        m.d.comb += [
            self._feed.read_data.eq(self._act.read_data), self._act.read_enable.eq(self._feed.read_enable),
            self._act.read_address.eq(self._feed.read_address),
            self._tlmm.act.valid.eq(self._feed.o.valid), self._feed.o.ready.eq(self._tlmm.act.ready),
            self._tlmm.act.payload.eq(self._feed.o.payload),
            self._query.read_word.eq(attention.query_word), attention.query_data.eq(self._query.read_data),
            self._key.read_word.eq(self._kv_store.read_word), self._value.read_word.eq(self._kv_store.read_word),
            self._kv_store.read_data.eq(Mux(self._kv_store.value, self._value.read_data.as_value(),
                                            self._key.read_data.as_value())),
            self._head_act.read_word.eq(self._head.act_word), self._head.act_data.eq(self._head_act.read_data),
            scalar.slot_address.eq(Mux(self._running(Op.ATTENTION), attention.scales_address, self._kv_store.scale_slot)),
            attention.scales_data.eq(scalar.slot_data), self._kv_store.scale_data.eq(scalar.slot_data),
        ]

    def _unit_starts(self, m: Module) -> None:
        """Commands from the descriptor, and which unit answers."""
        sequencer, d, table = self._sequencer, self._sequencer.descriptor, self._table.table
        scalar, attention, fetch = self._scalar, self._attention, self._kv_fetch
        start, shift = sequencer.unit_start, self.config.lanes.bit_length() - 1
        slots = table[0].slot + self.rows
        m.d.comb += [
            self._loader.command.payload.kind.eq(Mux(d.op == Op.ROPE, LoadKind.ROPE.value, LoadKind.EMBED.value)),
            self._loader.command.payload.length.eq(d.length), self._loader.command.payload.stride.eq(d.address2),
            *(self._vector.command.payload[field].eq(value) for field, value in (
                ("mode", d.a), ("source", d.b), ("destination", d.c), ("length", d.length), ("offset", d.offset),
                ("offset2", d.offset2), ("bits16", d.c == Buffer.HEAD))),
            scalar.command.payload.kind.eq(Mux(sequencer.factor_start, FACTOR, d.a)),
            scalar.command.payload.imm.eq(d.imm), scalar.command.payload.imm2.eq(d.imm2),
            scalar.command.payload.slot.eq(d.c),
            self._tlmm.command.payload.inputs.eq(d.offset), self._tlmm.command.payload.outputs.eq(d.length),
            self._feed.command.payload.words.eq(d.offset >> shift),
            self._kv_store.command.payload.move.eq(d.op == Op.MOVE), self._kv_store.command.payload.value.eq(d.a[0]),
            self._kv_store.command.payload.record.eq(d.length), self._kv_store.command.payload.address.eq(d.address),
            *(attention.command.payload[field].eq(value) for field, value in (
                ("slots", slots), ("first_head", d.a), ("heads", d.b), ("head_dim", d.length), ("imm", d.imm))),
            *(fetch.command.payload[field].eq(value) for field, value in (
                ("slots", slots), ("head_dim", d.length), ("address", d.address), ("address2", d.address2))),
            *(attention.prefix[row].eq(table[row].prefix) for row in range(self.config.rows)),
            *(attention.mask[row].eq(table[row].mask) for row in range(self.config.rows)),
            self._head.command.payload.vocab.eq(d.length), self._head.command.payload.inputs.eq(d.offset),
            self._head.count.eq(self.rows), self._head.d.eq(scalar.d),
            self._head.result_base.eq(self.result_base), self._head.logits_base.eq(self.logits_base),
            *(self._head.flags[row].eq(table[row].flags) for row in range(self.config.rows)),
        ]
        # Two units that take their commands together wait for each other.
        pairs = {Op.MATMUL: (self._tlmm.command, self._feed.command), Op.ATTENTION: (attention.command, fetch.command)}
        single = {Op.EMBED: self._loader.command, Op.ROPE: self._loader.command, Op.VEC: self._vector.command,
                  Op.KV_STORE: self._kv_store.command, Op.MOVE: self._kv_store.command, Op.HEAD: self._head.command}
        dones = {Op.EMBED: self._loader.done, Op.ROPE: self._loader.done, Op.VEC: self._vector.done, Op.SCALAR: scalar.done,
                 Op.MATMUL: self._tlmm.done, Op.KV_STORE: self._kv_store.done, Op.MOVE: self._kv_store.done,
                 Op.ATTENTION: attention.done, Op.HEAD: self._head.done}
        with m.Switch(d.op):
            for op, done in dones.items():
                with m.Case(op):
                    m.d.comb += sequencer.unit_done.eq(done)
                    if op in pairs:
                        first, second = pairs[op]
                        both = first.ready & second.ready
                        m.d.comb += [first.valid.eq(start & both), second.valid.eq(start & both), sequencer.unit_ready.eq(both)]
                    elif op != Op.SCALAR:
                        m.d.comb += [single[op].valid.eq(start), sequencer.unit_ready.eq(single[op].ready)]
                    else:
                        m.d.comb += sequencer.unit_ready.eq(scalar.command.ready)
        m.d.comb += [
            scalar.command.valid.eq(sequencer.factor_start | start & (d.op == Op.SCALAR)),
            sequencer.factor_ready.eq(scalar.command.ready), sequencer.factor_done.eq(scalar.done),
        ]

    def _array_routes(self, m: Module) -> None:
        """The INT8 array belongs to attention, or else to the head."""
        array, head = self._array, self._running(Op.HEAD)
        for user in (self._attention.array, self._head.array):
            m.d.comb += [user.dot.eq(array.dot), user.product.eq(array.product)]
        with m.If(head):
            user = self._head.array
            m.d.comb += [array.en.eq(user.en), array.weight.eq(user.weight), array.act.eq(user.act)]
        with m.Else():
            user = self._attention.array
            m.d.comb += [array.en.eq(user.en), array.weight.eq(user.weight), array.act.eq(user.act)]

    def _faults(self, m: Module) -> None:
        sequencer = self._sequencer

        def odd(word) -> Signal:
            return Cat(word.as_value().word_select(n, 32)[23:31].all() for n in range(len(word.as_value()) // 32)).any()

        loaded = (self._loader.write_rows != 0) & odd(self._loader.write_data)
        attended = self._attention.o.valid & self._running(Op.ATTENTION) & odd(self._attention.o.payload)
        leftover = sequencer.done & ((self._ring.level != 0) | ~self._stream.idle)
        with m.If(self._stream.error | self._reader.error):
            m.d.comb += self.fault.eq(Fault.READ_ERROR)
        with m.Elif(self._writer.error):
            m.d.comb += self.fault.eq(Fault.WRITE_ERROR)
        with m.Elif(sequencer.fault != 0):
            m.d.comb += self.fault.eq(sequencer.fault)
        with m.Elif(leftover):
            m.d.comb += self.fault.eq(Fault.BAD_DESCRIPTOR)
        with m.Elif(self._tlmm.illegal):
            m.d.comb += self.fault.eq(Fault.BAD_WEIGHT)
        with m.Elif(self._kv_store.bad_row):
            m.d.comb += self.fault.eq(Fault.BAD_ROW)
        with m.Elif(self._vector.invalid | loaded | attended | self._head.invalid):
            m.d.comb += self.fault.eq(Fault.NUMERIC)
        m.d.comb += self.done.eq(sequencer.done & ~leftover)
