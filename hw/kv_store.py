"""Appends the pass's keys or values to the KV cache in one burst run, and moves records within it."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.axi_burst import REQUEST
from terntable.hw.row_table import row_record
from terntable.hw.shapes import integers, per_row

__all__ = ["KvStore"]


class KvStore(wiring.Component):
    """STORE writes the records of all rows as one linear write; MOVE copies records one after another.

    A record is the padded vector from a regrouped buffer; a key record ends with a beat of the key's and the value's scale.

    ==========  ======================================================
    Throughput  a beat every second cycle (the buffer is read, then offered)
    Stall       waits for the memory ports; `done` comes when the last write is acknowledged
    ==========  ======================================================

    Members
    -------
    command : `move`, `value` (VALUE instead of KEY), `record` bytes, `address` offset of the region.
    table, count : row records; a store goes to slot[0] onwards, a move copies record `token` to record `slot`.
    read_word, read_data : read port of the KEY and VALUE buffers (index, then data a cycle later).
    scale_slot, scale_data : read port of the dequantisation scales (a cycle later).
    bad_row : pulse; slots of a store are not consecutive.

    """

    def __init__(self, *, rows: int, beat_bytes: int, key_slot: int) -> None:
        if beat_bytes < 8:
            raise ValueError(f"beat_bytes must be at least 8, which two scales take, not {beat_bytes}")
        self.rows, self.beat_bytes, self.key_slot = rows, beat_bytes, key_slot
        super().__init__({
            "command": In(stream.Signature(data.StructLayout({"move": 1, "value": 1, "record": 16, "address": 32}))),
            "table": In(data.ArrayLayout(row_record(), rows)), "count": In(8), "kv_base": In(64),
            "value": Out(1), "read_word": Out(8), "read_data": In(integers(rows=beat_bytes, lanes=rows, width=8)),
            "scale_slot": Out(8), "scale_data": In(per_row(rows=rows)),
            "read_request": Out(stream.Signature(REQUEST)), "i": In(stream.Signature(8 * beat_bytes)),
            "write_request": Out(stream.Signature(REQUEST)), "o": Out(stream.Signature(8 * beat_bytes)),
            "write_idle": In(1), "bad_row": Out(1), "done": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        command = Signal.like(self.command.payload)
        shift = self.beat_bytes.bit_length() - 1
        beats = command.record >> shift
        row, beat = Signal(8), Signal(16)
        key_scale, value_scale = Signal(per_row(rows=self.rows)), Signal(per_row(rows=self.rows))
        region, source, target = Signal(64), Signal(64), Signal(64)
        source_slot, target_slot = Signal(32), Signal(32)
        vector, scales = Signal(8 * self.beat_bytes), Signal(64)
        with m.Switch(row):
            for index in range(self.rows):
                with m.Case(index):
                    m.d.comb += [
                        vector.eq(Cat(self.read_data[index])),
                        scales.eq(Cat(key_scale[index], value_scale[index])),
                        source_slot.eq(self.table[index].token), target_slot.eq(self.table[index].slot),
                    ]
        consecutive = Cat((self.table[index].slot == self.table[0].slot + index) | (self.count <= index)
                          for index in range(self.rows)).all()
        scale_beat = ~command.value & (beat == beats - 1)
        m.d.comb += [
            self.value.eq(command.value),
            self.read_word.eq(beat),
            region.eq(self.kv_base + command.address),
            self.read_request.payload.address.eq(source), self.read_request.payload.beats.eq(beats),
            self.write_request.payload.address.eq(target),
            self.write_request.payload.beats.eq(Mux(command.move, beats, beats * self.count)),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.command.ready.eq(1)
                m.d.sync += [row.eq(0), beat.eq(0)]
                with m.If(self.command.valid):
                    m.d.sync += command.eq(self.command.payload)
                    m.next = "SCALES"
            with m.State("SCALES"):
                m.d.comb += self.scale_slot.eq(self.key_slot)
                m.next = "SCALES2"
            with m.State("SCALES2"):
                m.d.comb += self.scale_slot.eq(self.key_slot + 1)
                m.d.sync += key_scale.eq(self.scale_data)
                m.next = "SCALES3"
            with m.State("SCALES3"):
                m.d.sync += value_scale.eq(self.scale_data)
                m.next = "ADDRESS"
            with m.State("ADDRESS"):
                m.d.sync += [
                    source.eq(region + source_slot * command.record),
                    target.eq(region + target_slot * command.record),
                ]
                with m.If(~command.move & ~consecutive):
                    m.d.comb += self.bad_row.eq(1)
                m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += self.write_request.valid.eq(1)
                with m.If(self.write_request.ready):
                    with m.If(command.move):
                        m.next = "READ"
                    with m.Else():
                        m.next = "FETCH"
            with m.State("READ"):
                m.d.comb += self.read_request.valid.eq(1)
                with m.If(self.read_request.ready):
                    m.next = "COPY"
            with m.State("COPY"):
                m.d.comb += [
                    self.o.valid.eq(self.i.valid), self.o.payload.eq(self.i.payload), self.i.ready.eq(self.o.ready),
                ]
                with m.If(self.i.valid & self.o.ready):
                    m.d.sync += beat.eq(beat + 1)
                    with m.If(beat == beats - 1):
                        m.d.sync += [beat.eq(0), row.eq(row + 1)]
                        m.next = "ACKNOWLEDGE"
            with m.State("FETCH"):
                m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += [
                    self.o.valid.eq(1),
                    self.o.payload.eq(Mux(scale_beat, Cat(scales, Const(0, 8 * self.beat_bytes - 64)), vector)),
                ]
                with m.If(self.o.ready):
                    m.d.sync += beat.eq(beat + 1)
                    m.next = "FETCH"
                    with m.If(beat == beats - 1):
                        m.d.sync += [beat.eq(0), row.eq(row + 1)]
                        with m.If(row == self.count - 1):
                            m.next = "ACKNOWLEDGE"
            with m.State("ACKNOWLEDGE"):
                with m.If(self.write_idle):
                    with m.If(command.move & (row != self.count)):
                        m.next = "ADDRESS"
                    with m.Else():
                        m.d.comb += self.done.eq(1)
                        m.next = "IDLE"
        return m
