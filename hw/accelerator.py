"""The top: AXI ports, control registers, supervisor and datapath."""

from amaranth.hdl import Module, ResetInserter
from amaranth.lib import wiring
from amaranth.lib.wiring import Out

from terntable.hw.axi import axi4_read, axi4_write, axilite, connect_flat
from terntable.hw.csr import Csr
from terntable.hw.datapath import BASES, Datapath
from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.registers import ADDRESS_BITS, IDENT, VERSION
from terntable.hw.supervisor import Supervisor

__all__ = ["Accelerator"]


class Accelerator(wiring.Component):
    """One instance of the accelerator, with the flat port names that vendor tools expect.

    Members
    -------
    s_axi_control_* : AXI4-Lite slave, the registers of `terntable.hw.spec.registers`.
    m_axi_gmem0_* : AXI4 read master of the weight stream.
    m_axi_gmem1_* : AXI4 master of everything else.
    interrupt : high while a finished or stopped pass is not yet followed by a start or reset, if enabled.

    """

    def __init__(self, config: HardwareConfig) -> None:
        self.config = config
        width = 8 * config.beat_bytes
        super().__init__({
            **axilite("s_axi_control", ADDRESS_BITS),
            **axi4_read("m_axi_gmem0", width), **axi4_read("m_axi_gmem1", width), **axi4_write("m_axi_gmem1", width),
            "interrupt": Out(1),
        })

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self.config
        m.submodules.csr = csr = Csr()
        m.submodules.supervisor = supervisor = Supervisor()
        datapath = Datapath(config)
        m.submodules.datapath = ResetInserter(supervisor.clear)(datapath)
        connect_flat(m, self, "s_axi_control", csr.bus)
        connect_flat(m, self, "m_axi_gmem0", datapath.weights)
        connect_flat(m, self, "m_axi_gmem1", datapath.read)
        connect_flat(m, self, "m_axi_gmem1", datapath.write)
        m.d.comb += [
            csr.ident.eq(IDENT), csr.version.eq(VERSION),
            csr.geometry.eq(config.rows | config.beat_bytes << 8 | config.lanes << 16 | config.top_k << 24),
            csr.status.eq(supervisor.status), csr.fault_cause.eq(supervisor.fault_cause),
            csr.fault_index.eq(supervisor.fault_index),
            *(getattr(csr, name).eq(getattr(supervisor, name)) for name in supervisor.counters),
            *(getattr(datapath, name).eq(getattr(csr, name)) for name in (*BASES, "rows", "stream_beats", "head_beats")),
            supervisor.start.eq(csr.start), supervisor.reset.eq(csr.reset), supervisor.watchdog.eq(csr.watchdog),
            supervisor.interrupt_enable.eq(csr.interrupt_enable[0]), self.interrupt.eq(supervisor.interrupt),
            datapath.start.eq(supervisor.begin), datapath.abort.eq(supervisor.abort),
            supervisor.finished.eq(datapath.done), supervisor.fault.eq(datapath.fault),
            supervisor.index.eq(datapath.index), supervisor.running_op.eq(datapath.op),
            supervisor.unit_running.eq(datapath.unit_running), supervisor.completed.eq(datapath.completed),
            supervisor.drained.eq(datapath.drained), supervisor.beat_bytes.eq(config.beat_bytes),
            supervisor.stream_beat.eq(datapath.stream_beat), supervisor.read_beat.eq(datapath.read_beat),
            supervisor.write_beat.eq(datapath.write_beat), supervisor.stream_stall.eq(datapath.stream_stall),
        ]
        return m
