"""Linear reads of a memory whose stripes belong to several AXI4 ports in turn."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from terntable.hw.axi import ReadPort, check_bus
from terntable.hw.axi_burst import REQUEST, BurstSplitter
from terntable.hw.short_queue import ShortQueue
from terntable.hw.stripe_port import StripePort
from terntable.hw.word_ring import WordRing

__all__ = ["StripedRead", "check_stripes"]


def check_stripes(*, ports: int, port_bytes: int, stripe_bytes: int, burst_beats: int, word_beats: int) -> None:
    """ValueError unless whole words make a burst and whole bursts a stripe; see :class:`StripedRead`."""
    if type(ports) is not int or ports not in (1, 2, 4):
        raise ValueError(f"ports must be 1, 2 or 4, not {ports!r}")
    if type(word_beats) is not int or word_beats not in (1, 2):
        raise ValueError(f"word_beats must be 1 or 2, not {word_beats!r}")
    check_bus(beat_bytes=port_bytes, burst_beats=burst_beats)
    burst = port_bytes * burst_beats
    if ports * port_bytes > 128:
        raise ValueError(f"port_bytes must be at most {128 // ports} with {ports} ports, not {port_bytes}")
    if burst_beats < ports * word_beats:
        raise ValueError(f"burst_beats must be at least a word = {ports * word_beats}, not {burst_beats}")
    if ports > 1 and (type(stripe_bytes) is not int or stripe_bytes < burst or stripe_bytes & (stripe_bytes - 1)):
        raise ValueError(f"stripe_bytes must be a power of two of at least a burst = {burst}, not {stripe_bytes!r}")


class StripedRead(wiring.Component):
    """Reads requests through all ports at once and gives their words in order.

    The stripe at address `a` belongs to port (a / `stripe_bytes`) mod `ports`. Requests are cut into bursts; each gets its
    place in a ring of words and goes to its port's queue, as soon as the ring has room for it. So no port ever waits for
    this unit, a slow port does not stop the others until its queue is full, and the ring is read in order while the bursts
    come as they come.

    ============  =====================================================
    Computes      word i of a request = memory[address + i x word bytes]
    Latency       ``LATENCY`` cycles from an accepted request to ``arvalid``; ``DATA_LATENCY`` and less than `ports` from the
                  last port beat of the next word to ``o.valid``
    Throughput    1 wide beat per cycle written, 1 word per cycle read, 1 burst in 2 cycles asked for
    Stall         ``rready`` is always 1; a ring without room for a burst of full length stops the asking
    ============  =====================================================

    A wide beat lies in one stripe, so it comes from one port as `ports` port beats. The ports take turns in writing
    theirs, one a cycle.

    Parameters
    ----------
    ports : 1, 2 or 4.
    port_bytes : bytes of a port beat; a wide beat has `ports` x `port_bytes` bytes, at most 128.
    stripe_bytes : a power of two, at least a burst; without meaning for one port.
    burst_beats : longest burst in port beats, a power of two, at least a word.
    word_beats : wide beats of a word, 1 or 2. Address and length of a request are multiples of a word.
    depth : words of the ring, at least those of a burst. To sustain the throughput, the words of one stripe of each
        port and what comes in the time that an answer takes.
    outstanding : bursts of a port that may be asked for before their last beat came, at least 1.
    queue : bursts of a port that have a place and are not complete, those asked for included; at least 2.
    style : of the ring, see :class:`WordRing`.

    Members
    -------
    request : In(stream of REQUEST)
        Length in wide beats. May be queued back to back.
    o : Out(stream)
        Words, the first wide beat lowest. What a failed beat brought is passed on as well.
    buses : Out(ReadPort) of each port
    idle : Out(1)
        No accepted request is unfinished and nothing is on a bus. Words may still wait in the ring.
    error : Out(1)
        A response was not OKAY since the last reset.
    abort : In(1)
        Forgets all requests and words. What is on the buses is awaited and dropped; until then no request is accepted.
    beats : Out(ports)
        A beat came on the port this cycle, dropped ones included.
    level : Out
        Words that wait in the ring, apart from up to 3 on their way out of it.
    starved : Out(1)
        The next burst waits for room in the ring.

    """

    LATENCY = 5
    DATA_LATENCY = 6

    def __init__(self, *, ports: int, port_bytes: int, stripe_bytes: int, burst_beats: int, word_beats: int = 1, depth: int,
                 outstanding: int = 4, queue: int = 16, style: str | None = None):
        check_stripes(ports=ports, port_bytes=port_bytes, stripe_bytes=stripe_bytes, burst_beats=burst_beats, word_beats=word_beats)
        burst_words = burst_beats // (ports * word_beats)
        for name, value, least in (("depth", depth, max(2, burst_words)), ("outstanding", outstanding, 1), ("queue", queue, 2)):
            if type(value) is not int or value < least:
                raise ValueError(f"{name} must be an integer of at least {least}, not {value!r}")
        self.ports, self.port_bytes, self.stripe_bytes, self.burst_beats = ports, port_bytes, stripe_bytes, burst_beats
        self.word_beats, self.depth, self.outstanding, self.queue, self.style = word_beats, depth, outstanding, queue, style
        self.burst_words = burst_words
        self.word_bytes = ports * port_bytes * word_beats
        self._order = ShortQueue(shape=max(1, exact_log2(ports * burst_words)), depth=ports * queue)
        self._ring = WordRing(width=8 * self.word_bytes, parts=word_beats, depth=depth, style=style)
        super().__init__({
            "request": In(stream.Signature(REQUEST)), "o": Out(stream.Signature(unsigned(8 * self.word_bytes))),
            "buses": Out(ReadPort(8 * port_bytes)).array(ports),
            "idle": Out(1), "error": Out(1), "abort": In(1), "beats": Out(ports), "level": Out(range(depth + 1)), "starved": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        drop, dropping, flying = Signal(), Signal(), Signal()
        ring, wide_bytes = self._ring, self.ports * self.port_bytes
        splitter = BurstSplitter(beat_bytes=wide_bytes, burst_beats=self.burst_words * self.word_beats)
        parts = [StripePort(port_bytes=self.port_bytes, gather=self.ports, word_beats=self.word_beats, burst_beats=self.burst_beats,
                            depth=self.depth, queue=self.queue, outstanding=self.outstanding) for _ in range(self.ports)]
        m.submodules.ring, m.submodules.splitter = ring, splitter
        # In order of place: the port that reads each burst, and its words but one.
        m.submodules.order = self._order
        for number, part in enumerate(parts):
            m.submodules[f"port{number}"] = part
            wiring.connect(m, part.bus, wiring.flipped(self.buses[number]))
        wiring.connect(m, wiring.flipped(self.request), splitter.i)
        wiring.connect(m, ring.o, wiring.flipped(self.o))
        m.d.comb += [
            drop.eq(self.abort | dropping),
            flying.eq(Cat(part.flying for part in parts).any()),
            *(part.drop.eq(drop) for part in parts), splitter.drop.eq(drop), ring.clear.eq(drop),
            self._order.clear.eq(drop),
            self.level.eq(ring.level),
            self.beats.eq(Cat(bus.rvalid for bus in self.buses)),
        ]
        m.d.sync += dropping.eq(drop & flying)
        with m.If(Cat(part.error for part in parts).any()):
            m.d.sync += self.error.eq(1)

        self._ask(m, splitter, parts, drop)
        written = self._write(m, parts, drop)
        m.d.comb += self.idle.eq(~(splitter.busy | self._arrive(m, written, drop) | flying))
        return m

    def _ask(self, m: Module, splitter: BurstSplitter, parts: list[StripePort], drop: Signal) -> None:
        """Give each burst its place and its port. That it has both is known a cycle before it goes there."""
        waits, burst = splitter.o.valid, splitter.o.p
        place, words = Signal(range(self.depth)), Signal(range(self.burst_words + 1))
        free, given, room, go = Signal(range(self.depth + 1), init=self.depth), Signal(range(self.depth + 1)), Signal(), Signal()
        ready, chosen, able = Signal(self.ports), Signal(self.ports), Signal()
        port = burst.address[exact_log2(self.stripe_bytes):][:exact_log2(self.ports)] if self.ports > 1 else Const(0, 0)
        past = place + words
        m.d.comb += [
            chosen.eq(Const(1, self.ports) << port),
            words.eq(Cat(burst.length[exact_log2(self.word_beats):exact_log2(self.burst_beats // self.ports)], Const(0, 1)) + 1),
            room.eq(free[exact_log2(self.burst_words):].any()),
            go.eq(able & ~drop),
            given.eq(Mux(go, words - 1, ~0)),
            splitter.o.ready.eq(go),
            self._order.i.valid.eq(go), self._order.i.p.eq(Cat(port, (words - 1)[:exact_log2(self.burst_words)])),
            self.starved.eq(waits & ~room),
        ]
        for number, part in enumerate(parts):
            m.d.comb += [
                ready[number].eq(part.piece.ready),
                part.piece.valid.eq(go & chosen[number]),
                part.piece.p.address.eq(burst.address), part.piece.p.length.eq(burst.length), part.piece.p.place.eq(place),
            ]
        m.d.sync += able.eq(waits & ~go & room & (ready & chosen).any() & self._order.i.ready)
        # free - words + read, or free + read, in one adder: -words is the opposite of words - 1, and `read` is carried in.
        m.d.sync += free.eq((Cat(Const(1, 1), free) + Cat(self._ring.read, ~given))[1:])
        with m.If(go):
            m.d.sync += place.eq(Mux(past >= self.depth, past - self.depth, past))
        with m.If(drop):
            m.d.sync += [place.eq(0), free.eq(self.depth)]

    def _write(self, m: Module, parts: list[StripePort], drop: Signal) -> Signal:
        """Each port's turn to write a wide beat; the result has a bit for each port that completed a word."""
        ring, turn, wides = self._ring, Signal(range(max(2, self.ports))), [part.wide for part in parts]
        beat, valid, last = Signal.like(wides[0].data), Signal(self.ports), Signal()
        if self.ports > 1:
            m.d.sync += turn.eq(turn + 1)
        with m.Switch(turn):
            for number, wide in enumerate(wides):
                with m.Case(number):
                    m.d.comb += wide.take.eq(1)
                    m.d.sync += [beat.eq(wide.data), ring.write_place.eq(wide.place), last.eq(wide.last),
                                 valid.eq(Mux(wide.valid & ~drop, 1 << number, 0))]
        here = valid.any()
        m.d.comb += [
            ring.write_data.eq(Cat(beat for _ in range(self.word_beats))),
            ring.write_parts.eq(here if self.word_beats == 1 else Cat(here & ~last, here & last)),
        ]
        return Mux(last & ~drop, valid, 0)

    def _arrive(self, m: Module, written: Value, drop: Signal) -> Signal:
        """Hand over the words that are complete in order of place; the result says that some are missing."""
        order, waits = self._order, Signal()
        port, left, final = Signal(self.ports), Signal(range(max(2, self.burst_words))), Signal()    # final: left is 0
        number, here = Signal(range(max(2, self.ports))), Signal(self.ports)      # number: of `port`
        arrived, done = Signal(), Signal()
        m.d.comb += [
            arrived.eq(waits & here.bit_select(number, 1)),
            done.eq(arrived & final),
            order.o.ready.eq(~waits | done),
            self._ring.arrived.eq(arrived),
        ]
        with m.If(arrived):
            m.d.sync += [left.eq(left - 1), final.eq(left == 1)]
        with m.If(order.o.ready):
            many = exact_log2(self.ports)
            m.d.sync += [waits.eq(order.o.valid), port.eq(Const(1, self.ports) << order.o.p[:many]), number.eq(order.o.p[:many]),
                         left.eq(order.o.p[many:]), final.eq(order.o.p[many:] == 0)]
        with m.If(drop):
            m.d.sync += waits.eq(0)
        for n in range(self.ports):
            words, leaves = Signal(range(self.depth + 1), name=f"words{n}"), arrived & port[n]
            some, one = Signal(name=f"some{n}"), Signal(name=f"one{n}")    # of `words`: it is not 0, it is 1
            m.d.comb += here[n].eq(some)
            with m.If(written[n] != leaves):
                m.d.sync += [words.eq(words + Mux(leaves, -1, 1)), some.eq(~(leaves & one)), one.eq(Mux(leaves, words == 2, ~some))]
            with m.If(drop):
                m.d.sync += [words.eq(0), some.eq(0), one.eq(0)]
        return waits | order.o.valid
