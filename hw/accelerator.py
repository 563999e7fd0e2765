"""The top: AXI ports, control registers, supervisor and datapath."""

from amaranth.hdl import Module, ResetInserter
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from terntable.hw.axi import axi4_read, axi4_write, axilite, connect_flat
from terntable.hw.csr import Csr
from terntable.hw.datapath import BASES, COUNTS, Datapath
from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.registers import ADDRESS_BITS, IDENT, VERSION, geometry_of
from terntable.hw.supervisor import EVENTS, Supervisor

__all__ = ["Accelerator"]


class Accelerator(wiring.Component):
    """One instance of the accelerator, with the flat port names that vendor tools expect.

    Members
    -------
    s_axi_control_* : AXI4-Lite slave, the registers of `terntable.hw.spec.registers`.
    m_axi_gmem0_* ... : AXI4 masters, a read port each for its stripes of memory; port 0 writes too.
    interrupt : high while a finished or stopped pass is not yet followed by a start or reset, if enabled.

    """

    def __init__(self, config: HardwareConfig) -> None:
        self.config = config
        width = 8 * config.port_bytes
        ports = {}
        for port in range(config.ports):
            ports |= axi4_read(f"m_axi_gmem{port}", width)
        super().__init__({
            **axilite("s_axi_control", ADDRESS_BITS), **ports, **axi4_write("m_axi_gmem0", width), "interrupt": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self.config
        m.submodules.csr = csr = Csr()
        m.submodules.supervisor = supervisor = Supervisor(ports=config.ports, port_bytes=config.port_bytes)
        datapath = Datapath(config)
        m.submodules.datapath = ResetInserter(supervisor.clear)(datapath)
        connect_flat(m, self, "s_axi_control", csr.bus)
        for port in range(config.ports):
            connect_flat(m, self, f"m_axi_gmem{port}", getattr(datapath, f"bus{port}"))
        connect_flat(m, self, "m_axi_gmem0", datapath.write)
        m.d.comb += [
            csr.ident.eq(IDENT), csr.version.eq(VERSION),
            *(getattr(csr, name).eq(value) for name, value in geometry_of(config).items()),
            csr.status.eq(supervisor.status), csr.fault_cause.eq(supervisor.fault_cause),
            csr.fault_index.eq(supervisor.fault_index),
            *(getattr(csr, name).eq(getattr(supervisor, name)) for name in supervisor.counters),
            *(getattr(datapath, name).eq(getattr(csr, name)) for name in (*BASES, *COUNTS)),
            supervisor.start.eq(csr.start), supervisor.reset.eq(csr.reset), supervisor.watchdog.eq(csr.watchdog),
            supervisor.interrupt_enable.eq(csr.interrupt_enable[0]), self.interrupt.eq(supervisor.interrupt),
            datapath.start.eq(supervisor.begin), datapath.abort.eq(supervisor.abort),
            supervisor.finished.eq(datapath.done), supervisor.fault.eq(datapath.fault),
            supervisor.index.eq(datapath.index), supervisor.running_op.eq(datapath.op),
            supervisor.unit_running.eq(datapath.unit_running), supervisor.completed.eq(datapath.completed),
            supervisor.drained.eq(datapath.drained),
            *(getattr(supervisor, name).eq(getattr(datapath, name)) for name in (
                "stream_beats", "data_beats", "write_beat", *(f"{event}_event" for event in EVENTS))),
        ]
        return m
