"""A little core with the accelerator's ports, for tests: the XOR of two regions goes to a third."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from terntable.hw.axi import axi4_read, axi4_write, axilite, connect_flat
from terntable.hw.axi_read import AxiRead
from terntable.hw.axi_write import AxiWrite
from terntable.hw.csr import Csr
from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.program import Fault
from terntable.hw.spec.registers import ADDRESS_BITS, IDENT

__all__ = ["Toy", "pins"]


def pins(config: HardwareConfig) -> dict[str, wiring.Member]:
    """The accelerator's."""
    width, members = 8 * config.port_bytes, {**axilite("s_axi_control", ADDRESS_BITS), "interrupt": Out(1)}
    for n in range(config.ports):
        members |= axi4_read(f"m_axi_gmem{n}", width)
    return {**members, **axi4_write("m_axi_gmem0", width)}


class Toy(wiring.Component):
    """Writes `stream_words` beats of a port to result_base: those at stream_base XOR those at embed_base.

    The first come on port 0, the second on the last port; with a single port they are zeros. `watchdog` works as in the
    accelerator. `descriptors` counts the beats that were written.
    """

    def __init__(self, config: HardwareConfig):
        self.config = config
        super().__init__(pins(config))

    def elaborate(self, platform) -> Module:
        m = Module()
        sizes = {"beat_bytes": self.config.port_bytes, "burst_beats": self.config.burst_beats}
        m.submodules.csr = csr = Csr()
        m.submodules.stream = stream = AxiRead(**sizes)
        m.submodules.read = read = AxiRead(**sizes)
        m.submodules.write = write = AxiWrite(**sizes)
        connect_flat(m, self, "s_axi_control", csr.bus)
        connect_flat(m, self, "m_axi_gmem0", stream.bus)
        connect_flat(m, self, "m_axi_gmem0", write.bus)
        if self.config.ports > 1:
            connect_flat(m, self, f"m_axi_gmem{self.config.ports - 1}", read.bus)

        busy, done, error = Signal(), Signal(), Signal()
        cause, left, asked = Signal(Fault), Signal(32), Signal(min(self.config.ports, 2) + 1)
        ports = {stream: csr.stream_base, write: csr.result_base, read: csr.embed_base}
        second = read.o.valid if self.config.ports > 1 else 1
        both = stream.o.valid & second & write.i.ready
        m.d.comb += [
            csr.ident.eq(IDENT), csr.status.eq(Cat(busy, done, error)), csr.fault_cause.eq(cause),
            self.interrupt.eq(csr.interrupt_enable[0] & (done | error)),
            write.i.valid.eq(stream.o.valid & second), write.i.p.eq(stream.o.p ^ read.o.p),
            stream.o.ready.eq(both), read.o.ready.eq(both),
        ]
        if self.config.ports == 1:
            del ports[read]
        for n, (port, base) in enumerate(ports.items()):
            m.d.comb += [
                port.request.valid.eq(busy & ~asked[n] & ~error), port.request.p.address.eq(base),
                port.request.p.beats.eq(csr.stream_words), port.abort.eq(error),
            ]
            with m.If(port.request.valid & port.request.ready):
                m.d.sync += asked[n].eq(1)
        m.d.sync += csr.stream_bytes.eq(csr.stream_bytes + Mux(stream.beat, self.config.port_bytes, 0))
        with m.If(busy):
            m.d.sync += [csr.cycles.eq(csr.cycles + 1), left.eq(left - 1)]
            with m.If(write.beat):
                m.d.sync += csr.descriptors.eq(csr.descriptors + 1)
            with m.If(~error & (stream.error | read.error | write.error)):
                m.d.sync += [error.eq(1), cause.eq(Mux(write.error, Fault.WRITE_ERROR, Fault.READ_ERROR))]
            with m.Elif(~error & (csr.watchdog != 0) & (left == 0)):
                m.d.sync += [error.eq(1), cause.eq(Fault.WATCHDOG)]
            with m.Elif(asked.all() & write.idle & stream.idle & read.idle):
                m.d.sync += [busy.eq(0), done.eq(~error)]
        with m.If(csr.start & ~busy & ~error):
            m.d.sync += [busy.eq(1), done.eq(0), asked.eq(0), left.eq(csr.watchdog), csr.cycles.eq(0),
                         csr.stream_bytes.eq(0), csr.descriptors.eq(0)]
        return m
