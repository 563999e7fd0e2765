"""Asks for the keys, then the values, that an attention descriptor streams."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.axi_burst import REQUEST

__all__ = ["KvFetch"]


class KvFetch(wiring.Component):
    """Two linear reads: `slots` key records at `address`, then `slots` value records at `address2`.

    ==========  ======================================================
    Latency     `LATENCY` cycles from an accepted command to the first request
    Stall       each request is held until it is taken
    ==========  ======================================================

    Parameters
    ----------
    beat_bytes : as in the configuration; a key record ends with one beat of scales.

    """

    LATENCY = 2

    def __init__(self, *, beat_bytes: int) -> None:
        if beat_bytes < 8:
            raise ValueError(f"beat_bytes must be at least 8, which two scales take, not {beat_bytes}")
        self.beat_bytes = beat_bytes
        super().__init__({
            "command": In(stream.Signature(data.StructLayout({
                "slots": 16, "head_dim": 16, "address": 32, "address2": 32}))),
            "base": In(64),
            "request": Out(stream.Signature(REQUEST)),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        command = Signal.like(self.command.payload)
        second = Signal()
        beats = Signal(32)
        vector_beats = (command.head_dim + self.beat_bytes - 1) >> (self.beat_bytes.bit_length() - 1)
        m.d.comb += [
            self.request.payload.address.eq(self.base + Mux(second, command.address2, command.address)),
            self.request.payload.beats.eq(beats),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.command.ready.eq(1)
                m.d.sync += second.eq(0)
                with m.If(self.command.valid):
                    m.d.sync += command.eq(self.command.payload)
                    m.next = "COUNT"
            with m.State("COUNT"):
                m.d.sync += beats.eq(command.slots * (vector_beats + Mux(second, 0, 1)))
                m.next = "REQUEST"
            with m.State("REQUEST"):
                m.d.comb += self.request.valid.eq(1)
                with m.If(self.request.ready):
                    m.d.sync += second.eq(1)
                    with m.If(second):
                        m.next = "IDLE"
                    with m.Else():
                        m.next = "COUNT"
        return m
