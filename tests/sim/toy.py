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

__all__ = ["Toy"]


class Toy(wiring.Component):
    """Writes `stream_beats` beats to result_base: those at stream_base (weight port) XOR those at embed_base.

    `watchdog` works as in the accelerator. `descriptors` counts the beats that were written.
    """

    def __init__(self, config: HardwareConfig):
        self.config = config
        width = 8 * config.beat_bytes
        super().__init__(
            {
                **axilite("s_axi_control", ADDRESS_BITS),
                **axi4_read("m_axi_gmem0", width),
                **axi4_read("m_axi_gmem1", width),
                **axi4_write("m_axi_gmem1", width),
                "interrupt": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        sizes = {"beat_bytes": self.config.beat_bytes, "burst_beats": self.config.burst_beats}
        m.submodules.csr = csr = Csr()
        m.submodules.stream = stream = AxiRead(**sizes)
        m.submodules.read = read = AxiRead(**sizes)
        m.submodules.write = write = AxiWrite(**sizes)
        connect_flat(m, self, "s_axi_control", csr.bus)
        connect_flat(m, self, "m_axi_gmem0", stream.bus)
        connect_flat(m, self, "m_axi_gmem1", read.bus)
        connect_flat(m, self, "m_axi_gmem1", write.bus)

        busy, done, error = Signal(), Signal(), Signal()
        cause, left, asked = Signal(Fault), Signal(32), Signal(3)
        ports = {stream: csr.stream_base, read: csr.embed_base, write: csr.result_base}
        both = stream.o.valid & read.o.valid & write.i.ready
        m.d.comb += [
            csr.ident.eq(IDENT), csr.status.eq(Cat(busy, done, error)), csr.fault_cause.eq(cause),
            self.interrupt.eq(csr.interrupt_enable[0] & (done | error)),
            write.i.valid.eq(stream.o.valid & read.o.valid), write.i.p.eq(stream.o.p ^ read.o.p),
            stream.o.ready.eq(both), read.o.ready.eq(both),
        ]
        for n, (port, base) in enumerate(ports.items()):
            m.d.comb += [
                port.request.valid.eq(busy & ~asked[n] & ~error), port.request.p.address.eq(base),
                port.request.p.beats.eq(csr.stream_beats), port.abort.eq(error),
            ]
            with m.If(port.request.valid & port.request.ready):
                m.d.sync += asked[n].eq(1)
        m.d.sync += csr.stream_bytes.eq(csr.stream_bytes + Mux(stream.beat, self.config.beat_bytes, 0))
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
