"""The control registers of `terntable.hw.spec.registers` behind an AXI4-Lite port."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from terntable.hw.axi import OKAY, SLVERR, LitePort
from terntable.hw.spec.registers import ADDRESS_BITS, CONTROL_RESET, CONTROL_START, REGISTERS

__all__ = ["Csr"]


class Csr(wiring.Component):
    """Register file: rw registers are outputs, ro registers are inputs, each a member of the register's name.

    `control` holds nothing and reads 0: a write of its bits gives the pulses `start` and `reset`, one cycle
    long, with its response. An address without a register reads 0 and answers SLVERR; a write to a ro
    register is acknowledged and ignored. Two words of a 64-bit register are read one after the other, so a
    counter that runs may tear.

    ============  =====================================================
    Latency       ``LATENCY`` cycles from an accepted address (and data) to the response
    Throughput    a read every cycle, a write every 2 cycles; reads and writes at the same time
    Stall         one response of each kind waits in its register
    ============  =====================================================

    Members
    -------
    bus : In(LitePort)
        Address and data of a write may come in any order. Byte strobes count; the low 2 address bits do not.
    start, reset : Out(1)

    """

    LATENCY = {"read": 1, "write": 2}

    def __init__(self):
        members = {
            r.name: (Out if r.access == "rw" else In)(r.width) for r in REGISTERS if r.name != "control"
        }
        super().__init__({"bus": In(LitePort(ADDRESS_BITS)), "start": Out(1), "reset": Out(1), **members})

    def elaborate(self, platform) -> Module:
        m = Module()
        self._write(m)
        self._read(m)
        return m

    def _write(self, m: Module) -> None:
        bus = self.bus
        word, value, strobe = Signal(ADDRESS_BITS - 2), Signal(32), Signal(4)
        addressed, loaded, known = Signal(), Signal(), Signal()
        m.d.comb += [bus.awready.eq(~addressed), bus.wready.eq(~loaded)]
        m.d.sync += [self.start.eq(0), self.reset.eq(0)]
        with m.If(bus.bready):
            m.d.sync += bus.bvalid.eq(0)
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += [addressed.eq(1), word.eq(bus.awaddr[2:])]
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += [loaded.eq(1), value.eq(bus.wdata), strobe.eq(bus.wstrb)]
        with m.If(addressed & loaded & (~bus.bvalid | bus.bready)):
            m.d.sync += [
                addressed.eq(0),
                loaded.eq(0),
                bus.bvalid.eq(1),
                bus.bresp.eq(Mux(known, OKAY, SLVERR)),
            ]
            with m.Switch(word):
                for register in REGISTERS:
                    for half in range(register.width // 32):
                        with m.Case(register.offset // 4 + half):
                            m.d.comb += known.eq(1)
                            if register.name == "control":
                                m.d.sync += [
                                    self.start.eq(strobe[0] & (value & CONTROL_START).any()),
                                    self.reset.eq(strobe[0] & (value & CONTROL_RESET).any()),
                                ]
                            elif register.access == "rw":
                                member = getattr(self, register.name)
                                for n in range(4):
                                    with m.If(strobe[n]):
                                        m.d.sync += member.word_select(4 * half + n, 8).eq(
                                            value.word_select(n, 8)
                                        )
                with m.Default():
                    pass

    def _read(self, m: Module) -> None:
        bus = self.bus
        m.d.comb += bus.arready.eq(~bus.rvalid | bus.rready)
        with m.If(bus.rready):
            m.d.sync += bus.rvalid.eq(0)
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += [bus.rvalid.eq(1), bus.rdata.eq(0), bus.rresp.eq(OKAY)]
            with m.Switch(bus.araddr[2:]):
                for register in REGISTERS:
                    for half in range(register.width // 32):
                        with m.Case(register.offset // 4 + half):
                            if register.name != "control":
                                m.d.sync += bus.rdata.eq(getattr(self, register.name).word_select(half, 32))
                with m.Default():
                    m.d.sync += bus.rresp.eq(SLVERR)
