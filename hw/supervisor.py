"""Status, faults and counters: what outlives a pass."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.spec.program import Fault, Op

__all__ = ["Supervisor"]


class Supervisor(wiring.Component):
    """Starts passes, stops faulty ones, and leaves the datapath fit for the next.

    A fault stops new memory traffic, waits until what is in flight has ended, resets the datapath, then raises `error`
    with the cause and the descriptor's index. After `DRAIN_CYCLES` the error is raised all the same, so that a dead bus
    does not hide it; the datapath is then reset when the bus is done, and starts are ignored until it is.

    ==========  ======================================================
    Latency     `busy` the cycle after `start`; `done` the cycle after the datapath's
    ==========  ======================================================

    Members
    -------
    start, reset : pulses from the host. A start while busy is ignored; a reset stops what runs.
    running_op : opcode of the running descriptor; counts go to its unit. `idle_op` while none runs.
    drained : no memory transaction is in flight.
    abort, clear : to the datapath: stop traffic; reset.

    """

    DRAIN_CYCLES = 4096

    def __init__(self) -> None:
        counters = ("cycles", "stream_bytes", "read_bytes", "write_bytes", "matmul_cycles", "vector_cycles",
                    "attention_cycles", "head_cycles", "stream_stalls", "descriptors")
        self.counters = counters
        super().__init__({
            "start": In(1), "reset": In(1), "interrupt_enable": In(1), "watchdog": In(32),
            "begin": Out(1), "finished": In(1), "fault": In(8), "index": In(32), "running_op": In(8),
            "unit_running": In(1), "completed": In(1), "drained": In(1),
            "stream_beat": In(1), "read_beat": In(1), "write_beat": In(1), "stream_stall": In(1), "beat_bytes": In(8),
            "abort": Out(1), "clear": Out(1), "interrupt": Out(1),
            "status": Out(32), "fault_cause": Out(32), "fault_index": Out(32),
            **{name: Out(64) for name in counters},
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

        with m.If(busy & ~resetting):
            self._count(m)

        with m.FSM():
            with m.State("IDLE"):
                with m.If(self.reset):
                    m.d.sync += [drain.eq(0), resetting.eq(1), busy.eq(1)]
                    m.next = "ABORT"
                with m.Elif(self.start):
                    m.d.comb += self.begin.eq(1)
                    m.d.sync += [busy.eq(1), done.eq(0), error.eq(0), self.fault_cause.eq(0), self.fault_index.eq(0)]
                    m.d.sync += [getattr(self, name).eq(0) for name in self.counters]
                    m.next = "RUN"
            with m.State("RUN"):
                with m.If(self.reset | (cause != Fault.NONE)):
                    m.d.sync += [drain.eq(0), resetting.eq(self.reset)]
                    m.d.sync += [self.fault_cause.eq(cause), self.fault_index.eq(self.index)]
                    m.next = "ABORT"
                with m.Elif(self.finished):
                    m.d.sync += [busy.eq(0), done.eq(1)]
                    m.next = "IDLE"
            with m.State("ABORT"):
                m.d.comb += self.abort.eq(1)
                m.d.sync += drain.eq(drain + 1)
                with m.If(self.reset):
                    m.d.sync += resetting.eq(1)
                # The masters see the abort first, then a drained bus means that nothing is left.
                with m.If((drain > 2) & self.drained):
                    m.next = "CLEAR"
                with m.Elif(drain == self.DRAIN_CYCLES):
                    m.d.sync += [busy.eq(0), error.eq(1), resetting.eq(0)]
                    m.next = "HUNG"
            with m.State("HUNG"):
                m.d.comb += self.abort.eq(1)
                with m.If(self.reset):
                    m.d.sync += [drain.eq(0), resetting.eq(1), busy.eq(1)]
                    m.next = "ABORT"
                with m.Elif(self.drained):
                    m.d.comb += self.clear.eq(1)
                    m.next = "IDLE"
            with m.State("CLEAR"):
                m.d.comb += [self.abort.eq(1), self.clear.eq(1)]
                m.d.sync += [busy.eq(0), error.eq(~(resetting | self.reset)), resetting.eq(0)]
                with m.If(resetting | self.reset):
                    m.d.sync += [done.eq(0), self.fault_cause.eq(0), self.fault_index.eq(0)]
                m.next = "IDLE"
        return m

    def _count(self, m: Module) -> None:
        m.d.sync += self.cycles.eq(self.cycles + 1)
        for name, event in (("stream_bytes", self.stream_beat), ("read_bytes", self.read_beat),
                            ("write_bytes", self.write_beat)):
            with m.If(event):
                m.d.sync += getattr(self, name).eq(getattr(self, name) + self.beat_bytes)
        for name, ops in (("matmul_cycles", (Op.MATMUL,)), ("vector_cycles", (Op.VEC, Op.SCALAR)),
                          ("attention_cycles", (Op.ATTENTION, Op.KV_STORE, Op.MOVE)), ("head_cycles", (Op.HEAD,))):
            with m.If(self.unit_running):
                with m.Switch(self.running_op):
                    with m.Case(*ops):
                        m.d.sync += getattr(self, name).eq(getattr(self, name) + 1)
        with m.If(self.stream_stall):
            m.d.sync += self.stream_stalls.eq(self.stream_stalls + 1)
        with m.If(self.completed):
            m.d.sync += self.descriptors.eq(self.descriptors + 1)
