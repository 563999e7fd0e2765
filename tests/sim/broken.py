"""A core that breaks the AXI protocol in the way that `stream_words` says."""

from amaranth import *
from amaranth.lib import wiring

from terntable.hw.axi import AXI_BURST_INCR, connect_flat
from terntable.hw.csr import Csr
from terntable.hw.spec.config import HardwareConfig
from tests.sim.toy import pins

__all__ = ["BREACHES", "Broken"]

#: What happens after a start, by number, and a part of the simulator's sentence.
BREACHES = [
    "illegal burst",
    "illegal burst",
    "illegal burst",
    "changed an address",
    "changed data",
    "wlast is wrong",
    "not finish",
]


class Broken(wiring.Component):
    """From the start on it asks for bursts for ever; breach 6 is none at all."""

    def __init__(self, config: HardwareConfig):
        self.config = config
        super().__init__(pins(config))

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.csr = csr = Csr()
        connect_flat(m, self, "s_axi_control", csr.bus)
        breach, started, ticks = csr.stream_words, Signal(), Signal(16)
        m.d.sync += [ticks.eq(ticks + 1), started.eq(started | csr.start)]
        reads, writes = breach < 4, (breach == 4) | (breach == 5)
        size = self.config.port_bytes.bit_length() - 1
        m.d.comb += [
            self.m_axi_gmem0_arvalid.eq(started & reads),
            self.m_axi_gmem0_araddr.eq(csr.stream_base),
            self.m_axi_gmem0_arburst.eq(AXI_BURST_INCR),
            self.m_axi_gmem0_arsize.eq(size),
            self.m_axi_gmem0_rready.eq(1),
            self.m_axi_gmem0_awvalid.eq(started & writes),
            self.m_axi_gmem0_awaddr.eq(csr.stream_base),
            self.m_axi_gmem0_awburst.eq(AXI_BURST_INCR),
            self.m_axi_gmem0_awsize.eq(size),
            self.m_axi_gmem0_bready.eq(1),
            self.m_axi_gmem0_wvalid.eq(started & writes),
            self.m_axi_gmem0_wstrb.eq(~0),
            self.m_axi_gmem0_wlast.eq(breach == 4),
        ]
        with m.Switch(breach):
            with m.Case(0):    # crosses 4 KiB
                m.d.comb += [self.m_axi_gmem0_araddr.eq(csr.stream_base + 4096 - self.config.port_bytes),
                             self.m_axi_gmem0_arlen.eq(1)]
            with m.Case(1):    # narrow beats
                m.d.comb += self.m_axi_gmem0_arsize.eq(size - 1)
            with m.Case(2):    # one place for all beats
                m.d.comb += self.m_axi_gmem0_arburst.eq(0)
            with m.Case(3):    # restless address
                m.d.comb += self.m_axi_gmem0_araddr.eq(csr.stream_base + (ticks[:4] << 5))
            with m.Case(4):    # restless data
                m.d.comb += self.m_axi_gmem0_wdata.eq(ticks)
        return m
