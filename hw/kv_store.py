"""Appends the pass's keys and values to the KV cache, and moves slots within it."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.axi_burst import REQUEST
from terntable.hw.row_table import row_record
from terntable.hw.shapes import integers, per_row
from terntable.hw.short_queue import ShortQueue

__all__ = ["KvStore"]


class KvStore(wiring.Component):
    """STORE writes all rows' keys, values and scales of a record, plane by plane; MOVE copies slots of a plane one after another.

    ==========  ======================================================
    Latency     `latency` cycles from an accepted STORE to its first request, in which slots are checked;
                3 from a request to its first beat, 8 for the scales
    Throughput  a beat of the port per cycle within a plane; a plane takes 3 cycles more, a row's scales 5
    Stall       waits for the memory ports; `done` comes when the last write is acknowledged
    ==========  ======================================================

    Parameters
    ----------
    rows, beat_bytes, port_bytes : as in the configuration.
    first_slot : word of the scale memory with the first key's scale; its value's, the second key's and value's follow.
    max_dim : most columns of a record.

    Members
    -------
    command : STORE (`move` low): `pack` heads of `head_dim` columns, `address` of the region, `stride` between its planes. MOVE:
        `head_dim` bytes of a slot, a wide beat or a scale entry, in the plane or scales at `address`.
    table, count : row records; a store goes to slot[0] onwards, a move copies slot `token` to slot `slot`.
    value, read_word, read_data : which buffer, KEY or VALUE, and its read port: words of `port_bytes` columns, a cycle later.
    scale_slot, scale_data : read port of the dequantisation scales (a cycle later).
    read_request, i : wide beats. write_request, o : beats of the port.
    bad_row : pulse before the first request; slots of a store are not consecutive.

    """

    #: Beats that wait for the port; less than 3 would cost throughput.
    QUEUE = 4

    def __init__(self, *, rows: int, beat_bytes: int, port_bytes: int, first_slot: int, max_dim: int) -> None:
        if port_bytes < 8:
            raise ValueError(f"port_bytes must be at least 8, which two scales take, not {port_bytes}")
        if beat_bytes % port_bytes:
            raise ValueError(f"beat_bytes must be a multiple of port_bytes = {port_bytes}, not {beat_bytes}")
        self.rows, self.beat_bytes, self.port_bytes = rows, beat_bytes, port_bytes
        self.first_slot, self.max_dim = first_slot, max_dim
        self.words = max(2, -(-max_dim // port_bytes))
        self.latency = rows + 5
        super().__init__({
            "command": In(stream.Signature(data.StructLayout({
                "move": 1, "pack": 2, "head_dim": 16, "address": 32, "stride": 32}))),
            "table": In(data.ArrayLayout(row_record(), rows)), "count": In(8), "kv_base": In(64),
            "value": Out(1), "read_word": Out(range(self.words)), "read_data": In(integers(rows=port_bytes, lanes=rows, width=8)),
            "scale_slot": Out(8), "scale_data": In(per_row(rows=rows)),
            "read_request": Out(stream.Signature(REQUEST)), "i": In(stream.Signature(8 * beat_bytes)),
            "write_request": Out(stream.Signature(REQUEST)), "o": Out(stream.Signature(8 * port_bytes)),
            "write_idle": In(1), "bad_row": Out(1), "done": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        command = Signal.like(self.command.payload)
        beat_bits, port_bits = self.beat_bytes.bit_length() - 1, self.port_bytes.bit_length() - 1
        parts, planes = self.beat_bytes // self.port_bytes, max(2, -(-self.max_dim // self.beat_bytes))
        columns, last_plane, filled = Signal(17), Signal(range(planes)), Signal(range(self.words + 1))  # filled: words with columns
        base, source, target = Signal(64), Signal(64), Signal(64)
        row, last_row, part = Signal(range(self.rows + 1)), Signal(range(self.rows + 1)), Signal(range(max(2, parts)))
        # What is on its way to the port: planes one after another (keys' first), then the scales.
        plane, is_value, is_scale = Signal(range(planes)), Signal(), Signal()
        doubled, step = Signal(), Signal(range(max(self.rows + 2, 5)))  # doubled: a slot's scales take two beats of the port
        m.d.sync += last_row.eq(self.count - 1)
        stepping, stepped = Signal(), Signal()                         # step goes on, or starts anew
        last_step, last_check = Signal(), Signal()                     # four scales are read, all slots compared
        with m.If(stepped):
            m.d.sync += [step.eq(0), last_step.eq(0), last_check.eq(0)]
        with m.Elif(stepping):
            m.d.sync += [step.eq(step + 1), last_step.eq(step == 3), last_check.eq(step == self.rows)]
        m.d.comb += [
            columns.eq(Mux(command.pack == 2, command.head_dim << 1, command.head_dim)),
            doubled.eq((command.pack == 2) & (self.port_bytes < 16)), self.scale_slot.eq(self.first_slot + step),
            self.read_request.payload.address.eq(Cat(Const(0, beat_bits), source[beat_bits:])),
            self.write_request.payload.address.eq(target),
        ]

        slot, from_token, place = Signal(32), Signal(), Signal(64)
        token = Signal(32)
        with m.Switch(row):
            for index in range(self.rows):
                with m.Case(index):
                    m.d.comb += [token.eq(self.table[index].token), slot.eq(self.table[index].slot)]
        m.d.comb += [
            place.eq(base + self._bytes(m, Mux(from_token, token, slot), command, is_scale, doubled)),
        ]

        # A step reads a word of a buffer, a cycle later it is queued: there is room for all that was read.
        m.submodules.queue = queue = ShortQueue(shape=8 * self.port_bytes, depth=self.QUEUE)
        room, reading, copying, fed = Signal(range(self.QUEUE + 1), init=self.QUEUE), Signal(), Signal(), Signal()
        issue, gone, roomy = Signal(), Signal(), Signal(init=1)    # roomy: room is not 0
        word = Signal(range(planes * parts))
        shown = Signal(data.StructLayout({"row": range(max(2, self.rows)), "part": 1, "blank": 1}))
        vector, scale, pair = Signal(8 * self.port_bytes), Signal(32), Signal(128)
        with m.Switch(shown.row):
            for index in range(self.rows):
                with m.Case(index):
                    m.d.comb += [vector.eq(Cat(self.read_data[index])), scale.eq(self.scale_data[index])]
        # The last part of a beat or entry, the last of a move's item, the last row: registers, as much depends on them.
        last_part, last_left, at_last_row, top_part = Signal(), Signal(), Signal(), Mux(is_scale, doubled, parts - 1)
        stored, copied, onward, anew = Signal(), Signal(), Signal(), Signal()       # a row's last beat is issued; what `row` does
        entry = Mux(shown.part, pair[64:], Mux(command.pack == 2, pair, pair[:64]))
        moved = self.i.payload.word_select(part, 8 * self.port_bytes) if parts > 1 else self.i.payload
        m.d.comb += [
            issue.eq((reading | copying & self.i.valid) & roomy), gone.eq(self.o.valid & self.o.ready),
            stored.eq(reading & roomy & last_part), copied.eq(copying & self.i.valid & roomy & last_left),
            word.eq(Cat(part[:beat_bits - port_bits], plane)), self.read_word.eq(word), self.value.eq(is_value),
            queue.i.valid.eq(fed | (issue & copying)),
            queue.i.p.eq(Mux(command.move, moved, Mux(is_scale, entry, Mux(shown.blank, 0, vector)))),
        ]
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        m.d.sync += [
            room.eq(room - issue + gone), roomy.eq(gone | ~((room == 0) | (room == 1) & issue)),
            fed.eq(issue & reading), shown.row.eq(row), shown.part.eq(part), shown.blank.eq(word >= filled),
        ]

        m.d.sync += at_last_row.eq(Mux(stored, row + 1, row) == last_row)
        with m.If(issue):
            m.d.sync += [part.eq(Mux(last_part, 0, part + 1)), last_part.eq(Mux(last_part, top_part == 0, part + 1 == top_part))]
        with m.If(stored):
            m.d.sync += reading.eq(~(is_scale | at_last_row))
        with m.If(copied):
            m.d.sync += copying.eq(0)
        with m.If(anew | (stored & at_last_row)):
            m.d.sync += row.eq(0)
        with m.Elif(onward | stored | copied):
            m.d.sync += row.eq(row + 1)
        for n in range(4):
            with m.If(step == n + 1):
                m.d.sync += pair.word_select(n, 32).eq(scale)

        expected, held, compared, wrong = Signal(32), Signal(32), Signal(), Signal()
        left = Signal(range(max(2, parts + 1, 16 // self.port_bytes + 1)))           # beats of the port, of a move
        with m.If(compared & (held != expected)):
            m.d.sync += wrong.eq(1)
        m.d.comb += self.i.ready.eq(copying & roomy & (last_left | last_part))
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.command.ready.eq(1)
                m.d.sync += [signal.eq(0) for signal in (part, plane, is_value, is_scale, compared, wrong)]
                m.d.comb += [stepped.eq(1), anew.eq(1)]
                with m.If(self.command.valid):
                    m.d.sync += command.eq(self.command.payload)
                    m.next = "SIZES"
            with m.State("SIZES"):
                m.d.sync += [last_plane.eq((columns - 1) >> beat_bits), filled.eq((columns + self.port_bytes - 1) >> port_bits),
                             base.eq(self.kv_base + command.address)]
                m.next = "CHECK"
                with m.If(command.move):
                    m.next = "SOURCE"
            with m.State("CHECK"):
                # Row `step`'s slot is compared a cycle later.
                m.d.comb += [stepping.eq(1), onward.eq(1)]
                m.d.sync += [held.eq(slot), expected.eq(Mux(step == 1, held, expected) + 1),
                             compared.eq((step != 0) & (step < self.count))]
                with m.If(last_check):
                    m.d.comb += [self.bad_row.eq(wrong), stepped.eq(1), anew.eq(1)]
                    m.next = "TARGET"
            with m.State("SOURCE"):
                m.d.comb += from_token.eq(1)
                m.d.sync += [source.eq(place), self.read_request.payload.beats.eq(Mux(command.head_dim > self.beat_bytes, 2, 1))]
                m.next = "TARGET"
            with m.State("TARGET"):
                m.d.sync += target.eq(place)
                m.next = "REQUEST"
                with m.If(command.move):
                    m.next = "READ"
            with m.State("REQUEST"):
                m.d.comb += [
                    self.write_request.valid.eq(1),
                    self.write_request.payload.beats.eq(
                        Mux(is_scale, Mux(doubled, self.count << 1, self.count), self.count << (beat_bits - port_bits))),
                ]
                m.d.sync += last_part.eq(top_part == 0)
                with m.If(self.write_request.ready):
                    m.d.sync += reading.eq(~is_scale)
                    m.next = "BEATS"
                    with m.If(is_scale):
                        m.next = "SCALES"
            with m.State("SCALES"):
                m.d.comb += stepping.eq(1)
                with m.If(last_step):
                    m.d.comb += stepped.eq(1)
                    m.d.sync += reading.eq(1)
                    m.next = "BEATS"
            with m.State("BEATS"):
                with m.If(stored):
                    with m.If(is_scale):
                        m.next = "SCALES"
                    with m.If(at_last_row):
                        m.next = "NEXT"
            with m.State("NEXT"):
                m.d.sync += [base.eq(base + command.stride), plane.eq(plane + 1)]
                with m.If(plane == last_plane):
                    m.d.sync += [plane.eq(0), is_value.eq(1), is_scale.eq(is_value)]
                m.next = "TARGET"
                with m.If(is_scale):
                    m.next = "ACKNOWLEDGE"
            with m.State("READ"):
                m.d.comb += self.read_request.valid.eq(1)
                m.d.sync += [left.eq(command.head_dim >> port_bits), part.eq(source[port_bits:beat_bits]),
                             last_left.eq(command.head_dim >> port_bits == 1),
                             last_part.eq(source[port_bits:beat_bits] == parts - 1)]
                with m.If(self.read_request.ready):
                    m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += [self.write_request.valid.eq(1), self.write_request.payload.beats.eq(left)]
                with m.If(self.write_request.ready):
                    m.d.sync += copying.eq(1)
                    m.next = "COPY"
            with m.State("COPY"):
                with m.If(issue):
                    m.d.sync += [left.eq(left - 1), last_left.eq(left == 2)]
                with m.If(copied):
                    m.next = "ACKNOWLEDGE"
            with m.State("ACKNOWLEDGE"):
                with m.If(self.write_idle):
                    m.d.comb += self.done.eq(1)
                    m.next = "IDLE"
                    with m.If(command.move & (row != self.count)):
                        m.d.comb += self.done.eq(0)
                        m.next = "SOURCE"
        return m

    def _bytes(self, m: Module, slot: Value, command: Value, is_scale: Value, doubled: Value) -> Value:
        """`slot` x the bytes of a slot: a wide beat or the scales of one head or two. A command says a cycle before which."""
        offset: ValueLike = 0
        stored = Mux(is_scale, Mux(doubled, 16, self.port_bytes), self.beat_bytes)
        for size in sorted({self.beat_bytes, max(8, self.port_bytes), max(16, self.port_bytes)}):
            moved = Signal(name=f"moves_{size}")
            m.d.sync += moved.eq(command.head_dim == size)
            offset |= Mux(Mux(command.move, moved, stored == size), slot << (size.bit_length() - 1), 0)
        return Value.cast(offset)
