"""One port of a striped read: asks for pieces, gathers their narrow beats into wide ones."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from terntable.hw.axi import AXI_BURST_INCR, OKAY, ReadPort
from terntable.hw.short_queue import ShortQueue

__all__ = ["StripePort", "piece_layout"]


def piece_layout(depth: int) -> data.StructLayout:
    """A burst of `length` + 1 wide beats at `address`, whose first word has its place `place` in a ring of `depth` words."""
    return data.StructLayout({"address": 64, "length": 8, "place": range(depth)})


class StripePort(wiring.Component):
    """Reads pieces in order and gives each wide beat with its place in the ring. It never makes the port wait.

    ============  =====================================================
    Computes      nothing, so there is no twin
    Latency       ``LATENCY`` cycles from an accepted piece to ``arvalid``; 1 from the last port beat of a wide beat to it
    Throughput    1 port beat per cycle, 1 address per cycle
    Stall         none: a wide beat has to be taken before the next is complete, which is `gather` cycles at least
    ============  =====================================================

    Parameters
    ----------
    port_bytes : bytes of a port beat.
    gather : port beats of a wide beat, a power of two.
    word_beats : wide beats of a word of the ring, 1 or 2. Pieces consist of whole words.
    burst_beats : longest burst in port beats.
    depth : words of the ring.
    queue : pieces that are accepted before the first of them ends, at least 2.
    outstanding : bursts that may be asked for before their last beat came.

    Members
    -------
    piece : In(stream)
        Valid only while ready.
    wide : Out
        `valid`, `data`, `place` of its word, and `last` if that word ends with it. `take` says that it is taken.
    bus : Out(ReadPort)
    drop : In(1)
        Forgets all pieces and all that comes; what is on the bus remains to be awaited, with `drop` high.
    flying : Out(1)
        A burst is on the bus.
    error : Out(1)
        A response of this cycle is not OKAY.

    """

    LATENCY = 2

    def __init__(self, *, port_bytes: int, gather: int, word_beats: int, burst_beats: int, depth: int, queue: int,
                 outstanding: int):
        self.gather, self.word_beats, self.burst_beats = gather, word_beats, burst_beats
        self.port_bytes, self.depth, self.queue, self.outstanding = port_bytes, depth, queue, outstanding
        super().__init__({
            "piece": In(stream.Signature(piece_layout(depth))),
            "wide": Out(wiring.Signature({
                "valid": Out(1), "data": Out(8 * gather * port_bytes), "place": Out(range(depth)), "last": Out(1), "take": In(1),
            })),
            "bus": Out(ReadPort(8 * port_bytes)),
            "drop": In(1), "flying": Out(1), "error": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        piece, bus = self.piece, self.bus
        low, several = exact_log2(self.gather * self.port_bytes), exact_log2(self.gather)
        long = exact_log2(self.burst_beats) - several
        # A piece waits to be asked for in one queue and for its beats in the other, which has room only if both have.
        m.submodules.asks = asks = ShortQueue(shape=64 - low + long, depth=self.queue)
        m.submodules.places = places = Memory(shape=len(piece.p.place), depth=self.queue, init=[],
                                              attrs={"ram_style": "distributed"})
        put, get = places.write_port(), places.read_port(domain="comb")
        level, ended = Signal(range(self.queue + 1)), Signal()
        # Whoever offers a piece has looked whether it is taken.
        accept = piece.valid
        m.d.comb += [
            piece.ready.eq((level != self.queue) & ~self.drop), ended.eq(bus.rvalid & bus.rlast),
            asks.i.valid.eq(accept), asks.i.p.eq(Cat(piece.p.address[low:], piece.p.length[:long])), asks.clear.eq(self.drop),
            put.en.eq(accept), put.data.eq(piece.p.place),
        ]
        # The last beat of a piece comes late in its cycle, so that it decides on little.
        with m.If(accept != ended):
            m.d.sync += level.eq(level + Mux(ended, -1, 1))
        for pointer, moves in ((put.addr, accept), (get.addr, ended)):
            with m.If(moves):
                m.d.sync += pointer.eq(Mux(pointer == self.queue - 1, 0, pointer + 1))
        with m.If(self.drop):
            m.d.sync += [signal.eq(0) for signal in (level, put.addr, get.addr)]

        flying, crowded = Signal(range(self.outstanding + 1)), Signal()     # crowded: there are as many as may be
        may_issue, issue, beat, landed = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            may_issue.eq((~bus.arvalid | bus.arready) & ~crowded & ~self.drop),
            asks.o.ready.eq(may_issue), issue.eq(may_issue & asks.o.valid),
            bus.arsize.eq(exact_log2(self.port_bytes)),
            bus.arburst.eq(AXI_BURST_INCR),
            bus.arcache.eq(0b0011),                     # normal memory, may be merged on the way, not cached
            bus.rready.eq(1),
            beat.eq(bus.rvalid), landed.eq(beat & bus.rlast),
            self.flying.eq(flying != 0),
            self.error.eq(beat & (bus.rresp != OKAY)),
        ]
        with m.If(issue != landed):
            m.d.sync += [flying.eq(flying + Mux(landed, -1, 1)), crowded.eq(~landed & (flying == self.outstanding - 1))]
        with m.If(bus.arready):
            m.d.sync += bus.arvalid.eq(0)
        with m.If(issue):
            m.d.sync += [
                bus.arvalid.eq(1),
                bus.araddr.eq(Cat(Const(0, low), asks.o.p[:64 - low])),
                bus.arlen.eq(Cat(Const(self.gather - 1, several), asks.o.p[64 - low:])),
            ]
        self._gather(m, get.data, beat)
        return m

    def _gather(self, m: Module, next_place: Value, beat: Signal) -> None:
        bus, wide, width = self.bus, self.wide, 8 * self.port_bytes
        bits = exact_log2(self.gather * self.word_beats)
        count = Signal(max(1, bits))                        # port beats of the word so far
        phase = count[:bits]
        # The wide beat so far, newest beat uppermost, after an item that is not used.
        earlier = Signal(width * self.gather)
        whole = Cat(earlier[width:], bus.rdata)
        first, before, place = Signal(init=1), Signal.like(wide.place), Signal.like(wide.place)
        full, word = Signal(), Signal()
        m.d.comb += [
            full.eq(phase[:exact_log2(self.gather)].all()),
            word.eq(phase.all()),
            place.eq(Mux(first, next_place, Mux(before == self.depth - 1, 0, before + 1))),
        ]
        with m.If(wide.take):
            m.d.sync += wide.valid.eq(0)
        with m.If(beat):
            m.d.sync += [count.eq(count + 1), earlier.eq(whole)]
            with m.If(full):
                m.d.sync += [wide.valid.eq(1), wide.data.eq(whole), wide.place.eq(place), wide.last.eq(word)]
            with m.If(word):
                m.d.sync += [first.eq(bus.rlast), before.eq(place)]
        with m.If(self.drop):
            m.d.sync += [count.eq(0), first.eq(1), wide.valid.eq(0)]
