"""Status, faults and counters: what outlives a pass."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.spec.program import Fault, Op
from terntable.hw.spec.registers import COUNTERS

__all__ = ["EVENTS", "Supervisor"]

#: Bits that a counter really has: more than an hour at the clock.
COUNTER_BITS = 40

#: Counters of cycles that the datapath points out.
EVENTS = ("matmul_cycles", "engine_wait_cycles", "word_stalls", "table_stalls", "output_stalls", "partial_stalls", "data_stalls",
          "ring_full_cycles")

#: Counters of the cycles in which a descriptor of these opcodes runs.
BY_OP = {"vector_cycles": (Op.VEC,), "scalar_cycles": (Op.SCALAR,), "attention_cycles": (Op.ATTENTION,),
         "store_cycles": (Op.KV_STORE, Op.MOVE), "load_cycles": (Op.EMBED, Op.ROPE), "head_cycles": (Op.HEAD, Op.SHORTLIST)}


class Supervisor(wiring.Component):
    """Starts passes, stops faulty ones, and leaves the datapath fit for the next.

    A fault stops new memory traffic, waits until what is in flight has ended, resets the datapath, then raises `error`
    with the cause and the descriptor's index. After `DRAIN_CYCLES` the error is raised all the same, so that a dead bus
    does not hide it; the datapath is then reset when the bus is done, and starts are ignored until it is.

    ==========  ======================================================
    Latency     `busy` the cycle after `start`; `done` the cycle after the datapath's; counters 2 cycles behind what they count
    ==========  ======================================================

    Members
    -------
    start, reset : pulses from the host. A start while busy is ignored; a reset stops what runs.
    running_op : opcode of the running descriptor, whose unit is counted while `unit_running`.
    stream_beats, data_beats : a beat of the weight stream, or of another read, came on the port of the bit's number.
    write_beat : a beat of a port was written.
    <name>_event : the cycle counts for this counter of `EVENTS`.
    drained : no memory transaction is in flight.
    abort, clear : to the datapath: stop traffic; reset.

    """

    DRAIN_CYCLES = 4096

    def __init__(self, *, ports: int, port_bytes: int) -> None:
        if not 1 <= ports <= 4:
            raise ValueError(f"ports must be 1 to 4, not {ports!r}")
        self.ports, self.port_bytes = ports, port_bytes
        self.counters = tuple(COUNTERS)
        super().__init__({
            "start": In(1), "reset": In(1), "interrupt_enable": In(1), "watchdog": In(32),
            "begin": Out(1), "finished": In(1), "fault": In(8), "index": In(32), "running_op": In(8),
            "unit_running": In(1), "completed": In(1), "drained": In(1),
            "stream_beats": In(ports), "data_beats": In(ports), "write_beat": In(1), **{f"{name}_event": In(1) for name in EVENTS},
            "abort": Out(1), "clear": Out(1), "interrupt": Out(1),
            "status": Out(32), "fault_cause": Out(32), "fault_index": Out(32),
            **{name: Out(64) for name in self.counters},
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        busy, done, error, resetting = Signal(), Signal(), Signal(), Signal()
        waited, drain = Signal(32), Signal(range(self.DRAIN_CYCLES + 1))
        cause = Signal(8)
        m.d.comb += [
            self.status[0].eq(busy), self.status[1].eq(done), self.status[2].eq(error),
            self.interrupt.eq(self.interrupt_enable & (done | error)),
            cause.eq(self.fault),
        ]
        expired = (self.watchdog != 0) & (waited >= self.watchdog)
        with m.If((self.fault == Fault.NONE) & expired):
            m.d.comb += cause.eq(Fault.WATCHDOG)
        with m.If(self.completed | ~busy):
            m.d.sync += waited.eq(0)
        with m.Elif(~expired):
            m.d.sync += waited.eq(waited + 1)

        self._count(m, busy & ~resetting)

        # `abort` and `clear` are registers that change with the state, since they lead to every unit.
        m.d.sync += self.clear.eq(0)
        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.reset):
                    m.d.sync += [drain.eq(0), resetting.eq(1), busy.eq(1), self.abort.eq(1)]
                    m.next = "ABORT"
                with m.Elif(self.start):
                    m.d.comb += self.begin.eq(1)
                    m.d.sync += [busy.eq(1), done.eq(0), error.eq(0), self.fault_cause.eq(0), self.fault_index.eq(0)]
                    m.d.sync += [getattr(self, name)[:COUNTER_BITS].eq(0) for name in self.counters]
                    m.next = "RUN"
            with m.State("RUN"):
                with m.If(self.reset | (cause != Fault.NONE)):
                    m.d.sync += [drain.eq(0), resetting.eq(self.reset), self.abort.eq(1)]
                    m.d.sync += [self.fault_cause.eq(cause), self.fault_index.eq(self.index)]
                    m.next = "ABORT"
                with m.Elif(self.finished):
                    m.d.sync += [busy.eq(0), done.eq(1)]
                    m.next = "IDLE"
            with m.State("ABORT"):
                m.d.sync += drain.eq(drain + 1)
                with m.If(self.reset):
                    m.d.sync += resetting.eq(1)
                # The masters see the abort first, then a drained bus means that nothing is left.
                with m.If((drain > 2) & self.drained):
                    m.d.sync += self.clear.eq(1)
                    m.next = "CLEAR"
                with m.Elif(drain == self.DRAIN_CYCLES):
                    m.d.sync += [busy.eq(0), error.eq(1), resetting.eq(0)]
                    m.next = "HUNG"
            with m.State("HUNG"):
                with m.If(self.reset):
                    m.d.sync += [drain.eq(0), resetting.eq(1), busy.eq(1)]
                    m.next = "ABORT"
                with m.Elif(self.drained):
                    m.d.sync += self.clear.eq(1)
                    m.next = "CLEAR"
            with m.State("CLEAR"):
                m.d.sync += [busy.eq(0), error.eq(~(resetting | self.reset)), resetting.eq(0), self.abort.eq(0)]
                with m.If(resetting | self.reset):
                    m.d.sync += [done.eq(0), self.fault_cause.eq(0), self.fault_index.eq(0)]
                m.next = "IDLE"
        return m

    def _count(self, m: Module, counting: Value) -> None:
        shift = self.port_bytes.bit_length() - 1
        steps: dict[str, Signal] = {}

        def bump(name: str, step: ValueLike) -> None:
            # A register each, so that the wide additions have a cycle of their own.
            held = Signal(shape=Value.cast(step).shape(), name=f"{name}_step")
            m.d.sync += held.eq(Mux(counting, step, 0))
            steps[name] = held

        beats = {"stream_bytes": sum(self.stream_beats), "read_bytes": sum(self.data_beats), "write_bytes": self.write_beat}
        for port in range(self.ports):
            beats[f"port{port}_bytes"] = self.stream_beats[port] + self.data_beats[port]
        for name, step in beats.items():
            bump(name, Value.cast(step) << shift)
        for name in EVENTS:
            bump(name, getattr(self, f"{name}_event"))
        for name, ops in BY_OP.items():
            bump(name, self.unit_running & Cat(self.running_op == op for op in ops).any())
        bump("cycles", Const(1, 1))
        bump("descriptors", self.completed)
        # A start clears the counters, which it must be able to overrule.
        for name, step in steps.items():
            count = getattr(self, name)[:COUNTER_BITS]
            m.d.sync += count.eq(count + step)
