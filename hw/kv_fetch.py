"""Asks for what an attention descriptor streams: scales, planes of keys, planes of values."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from terntable.hw.axi_burst import REQUEST

__all__ = ["KvFetch"]


class KvFetch(wiring.Component):
    """Linear reads of one record's region, as :class:`terntable.hw.spec.layout.KvLayout` has it.

    ==========  ======================================================
    Latency     `LATENCY` cycles and one for each plane from an accepted command to the first request, `PERIOD` from one
                taken to the next
    Stall       each request is held until it is taken
    ==========  ======================================================

    Parameters
    ----------
    beat_bytes, port_bytes : as in the configuration; a scale entry takes at least a port beat.

    Members
    -------
    command : `slots` of a record of `pack` heads of `head_dim` columns, whose region is at `address` and whose planes are
        `address2` bytes apart.
    base : start of the cache, to which `address` is relative.
    request : the scales, then each plane; `beats` are those of `beat_bytes`.

    """

    LATENCY = 5
    PERIOD = 3

    def __init__(self, *, beat_bytes: int, port_bytes: int) -> None:
        for name, value in (("beat_bytes", beat_bytes), ("port_bytes", port_bytes)):
            if value < 8 or value & (value - 1):
                raise ValueError(f"{name} must be a power of two of at least 8, not {value}")
        if port_bytes > beat_bytes:
            raise ValueError(f"port_bytes must be at most beat_bytes = {beat_bytes}, not {port_bytes}")
        self.beat_bytes, self.port_bytes = beat_bytes, port_bytes
        super().__init__({
            "command": In(stream.Signature(data.StructLayout({
                "slots": 16, "head_dim": 16, "pack": 2, "address": 32, "address2": 32}))),
            "base": In(64),
            "request": Out(stream.Signature(REQUEST)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        command, request = Signal.like(self.command.payload), self.request.payload
        shift, paired = exact_log2(self.beat_bytes), command.pack[1]
        entry = [exact_log2(max(8 * pack, self.port_bytes)) for pack in (1, 2)]
        # Runs that follow: every plane of keys and of values.
        planes, left, offset, columns, scale_bytes = Signal(14), Signal(14), Signal(32), Signal(17), Signal(32)
        first, carry = Signal(), Signal()
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.command.ready.eq(1)
                with m.If(self.command.valid):
                    m.d.sync += command.eq(self.command.payload)
                    m.next = "COLUMNS"
            with m.State("COLUMNS"):
                m.d.sync += [
                    columns.eq(Mux(paired, command.head_dim << 1, command.head_dim)),
                    scale_bytes.eq(command.slots << Mux(paired, entry[1], entry[0])),
                    offset.eq(command.address), left.eq(0), first.eq(1),
                ]
                m.next = "COUNT"
            with m.State("COUNT"):
                m.d.sync += [
                    planes.eq(((columns + self.beat_bytes - 1) >> shift) << 1),
                    request.beats.eq((scale_bytes + self.beat_bytes - 1) >> shift),
                ]
                m.next = "SCALES"
            # The scales lie behind the planes.
            with m.State("SCALES"):
                m.d.sync += [offset.eq(offset + command.address2), left.eq(left + 1)]
                with m.If(left + 1 == planes):
                    m.next = "LOW"
            # A 64-bit sum in two steps.
            with m.State("LOW"):
                m.d.sync += Cat(request.address[:32], carry).eq(self.base[:32] + offset)
                m.next = "HIGH"
            with m.State("HIGH"):
                m.d.sync += request.address[32:].eq(self.base[32:] + carry)
                m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += self.request.valid.eq(1)
                with m.If(self.request.ready):
                    m.d.sync += [
                        first.eq(0), offset.eq(Mux(first, command.address, offset + command.address2)),
                        left.eq(left - 1), request.beats.eq(command.slots),
                    ]
                    with m.If(left == 0):
                        m.next = "IDLE"
                    with m.Else():
                        m.next = "LOW"
        return m
