"""Lets several units read through one client of the memory ports, each seeing only its own beats."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from terntable.hw.axi_burst import REQUEST

__all__ = ["ReadMux"]


class ReadMux(wiring.Component):
    """Passes requests on, the first client's before the others', and hands beats out in the order of the requests.

    ==========  ======================================================
    Computes    nothing, so there is no twin
    Latency     `REQUEST_LATENCY` cycles for a request; `LATENCY` more, if nothing is before it, to its first beat
    Throughput  one request in two cycles, one beat per cycle; a cycle passes between two requests' beats
    Stall       a client that does not take its beat holds up the others' beats behind it
    ==========  ======================================================

    Parameters
    ----------
    clients : names, most urgent first.
    beat_bytes : bytes of a wide beat.
    depth : requests on their way.

    Members
    -------
    <name>_request, <name> : In(stream of REQUEST), Out(stream) of each client.
    request, i : the same of the client of the ports that all share.

    """

    REQUEST_LATENCY = 2
    LATENCY = 1

    def __init__(self, *, clients: tuple[str, ...], beat_bytes: int, depth: int = 8) -> None:
        if len(clients) < 2 or len(set(clients)) != len(clients):
            raise ValueError(f"clients must be two or more different names, not {clients!r}")
        if type(depth) is not int or depth < 3:
            raise ValueError(f"depth must be an integer of at least 3, not {depth!r}")
        self.clients, self.beat_bytes, self.depth = clients, beat_bytes, depth
        beat = stream.Signature(8 * beat_bytes)
        super().__init__({
            **{f"{name}_request": In(stream.Signature(REQUEST)) for name in clients}, **{name: Out(beat) for name in clients},
            "request": Out(stream.Signature(REQUEST)), "i": In(beat),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        count = len(self.clients)
        Turn = data.StructLayout({"client": count, "beats": 32})
        m.submodules.turns = turns = SyncFIFOBuffered(width=Turn.size, depth=self.depth)
        requests = [getattr(self, f"{name}_request") for name in self.clients]
        # A request is chosen in one cycle and moved in the next, so that no path leads from client to port.
        granted, asked = Signal(count), Signal(Turn)
        waiting = Cat(request.valid for request in requests)
        m.d.sync += granted.eq(0)
        with m.If(~granted.any() & turns.w_rdy & (~self.request.valid | self.request.ready)):
            m.d.sync += granted.eq(waiting & (~waiting + 1))
        with m.If(self.request.ready):
            m.d.sync += self.request.valid.eq(0)
        for n, request in enumerate(requests):
            m.d.comb += request.ready.eq(granted[n])
            with m.If(granted[n]):
                m.d.comb += asked.beats.eq(request.payload.beats)
                m.d.sync += [self.request.valid.eq(1), self.request.payload.eq(request.payload)]
        m.d.comb += [asked.client.eq(granted), turns.w_data.eq(asked), turns.w_en.eq(granted.any())]

        # Whose beats come: none between two requests. `left` are those after the present one.
        mine, left, last = Signal(count), Signal(32), Signal()
        turn = data.View(Turn, turns.r_data)
        m.d.comb += turns.r_en.eq(~mine.any())
        with m.If(turns.r_en & turns.r_rdy):
            m.d.sync += [mine.eq(turn.client), left.eq(turn.beats - 1), last.eq(turn.beats == 1)]
        with m.Elif(self.i.valid & self.i.ready):
            m.d.sync += [left.eq(left - 1), last.eq(left == 1)]
            with m.If(last):
                m.d.sync += mine.eq(0)
        sinks = [getattr(self, name) for name in self.clients]
        m.d.comb += self.i.ready.eq(Cat(mine[n] & sink.ready for n, sink in enumerate(sinks)).any())
        for n, sink in enumerate(sinks):
            m.d.comb += [sink.payload.eq(self.i.payload), sink.valid.eq(self.i.valid & mine[n])]
        return m
