"""Lets several units read through one client of the memory ports, each seeing only its own beats."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from terntable.hw.axi_burst import REQUEST

__all__ = ["ReadMux"]


class ReadMux(wiring.Component):
    """Passes requests on, the first client's before the others', and hands beats out in the order of the requests.

    ==========  ======================================================
    Computes    nothing, so there is no twin
    Latency     none for requests; `LATENCY` cycles from a request that found nothing before it to its first beat
    Throughput  one request and one beat per cycle; a cycle passes between two requests' beats
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

    LATENCY = 2

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
        Turn = data.StructLayout({"client": range(len(self.clients)), "beats": 32})
        m.submodules.turns = turns = SyncFIFOBuffered(width=Turn.size, depth=self.depth)
        asked, turn = Signal(Turn), Signal(Turn)
        m.d.comb += turns.w_data.eq(asked)
        for n, name in enumerate(self.clients):
            request = getattr(self, f"{name}_request")
            with (m.If if n == 0 else m.Elif)(request.valid):
                m.d.comb += [
                    self.request.valid.eq(turns.w_rdy), self.request.payload.eq(request.payload),
                    request.ready.eq(self.request.ready & turns.w_rdy), asked.client.eq(n),
                ]
        m.d.comb += [asked.beats.eq(self.request.payload.beats), turns.w_en.eq(self.request.valid & self.request.ready)]

        left = Signal(32)
        m.d.comb += turns.r_en.eq(left == 0)
        with m.If((left == 0) & turns.r_rdy):
            m.d.sync += [turn.eq(turns.r_data), left.eq(Turn(turns.r_data).beats)]
        with m.Elif(self.i.valid & self.i.ready):
            m.d.sync += left.eq(left - 1)
        for n, name in enumerate(self.clients):
            sink = getattr(self, name)
            mine = (left != 0) & (turn.client == n)
            m.d.comb += [sink.payload.eq(self.i.payload), sink.valid.eq(self.i.valid & mine)]
            with m.If(mine):
                m.d.comb += self.i.ready.eq(sink.ready)
        return m
