"""Several read masters on one AXI4 read port."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from terntable.hw.axi import ReadPort

__all__ = ["AxiShare"]


class AxiShare(wiring.Component):
    """Passes on the addresses of all masters, the lowest first, and gives each its beats back.

    A port answers in order, so a queue of owners tells whose beats come. An abort needs nothing of this unit: a master
    that aborts keeps the address it offers and drops its beats by itself.

    ============  =====================================================
    Computes      nothing, so there is no twin
    Latency       ``LATENCY`` cycle from a master's ``arvalid`` to that of the port; none for the data, if they
                  come a cycle after the address
    Throughput    1 address and 1 beat per cycle
    Stall         ``rready`` follows that of the master whose beat is there; an offered address stands still
    ============  =====================================================

    Parameters
    ----------
    width : bits of a beat.
    masters : how many, at least 2; the addresses of master 0 go first.
    outstanding : bursts that may be asked for before their last beat came, at least 3. With less than all masters'
        together, one that waits for its beats can keep a lower one waiting.

    Members
    -------
    masters : In(ReadPort) of each
        All have the same ``arsize``, ``arburst``, ``arcache`` and ``arprot``; those of master 0 are passed on.
    bus : Out(ReadPort)

    """

    LATENCY = 1

    def __init__(self, *, width: int, masters: int = 2, outstanding: int = 16):
        for name, value, least in (("masters", masters, 2), ("outstanding", outstanding, 3)):
            if type(value) is not int or value < least:
                raise ValueError(f"{name} must be an integer of at least {least}, not {value!r}")
        self.width = width
        self.count = masters
        self.outstanding = outstanding
        super().__init__({"masters": In(ReadPort(width)).array(masters), "bus": Out(ReadPort(width))})

    def elaborate(self, platform) -> Module:
        m = Module()
        bus, masters = self.bus, self.masters
        m.submodules.owners = owners = SyncFIFOBuffered(width=(self.count - 1).bit_length(), depth=self.outstanding)
        free, offered = Signal(), Cat(master.arvalid for master in masters)
        m.d.comb += [
            free.eq((~bus.arvalid | bus.arready) & owners.w_rdy),
            owners.w_en.eq(free & offered.any()),
            owners.r_en.eq(bus.rvalid & bus.rready & bus.rlast),
            *(getattr(bus, name).eq(getattr(masters[0], name)) for name in ("arsize", "arburst", "arcache", "arprot")),
        ]
        for number, master in enumerate(masters):
            mine = owners.r_rdy & (owners.r_data == number)
            m.d.comb += [
                master.arready.eq(free & ~offered[:number].any()),
                master.rvalid.eq(bus.rvalid & mine),
                master.rdata.eq(bus.rdata), master.rresp.eq(bus.rresp), master.rlast.eq(bus.rlast),
            ]
            with m.If(mine):
                m.d.comb += bus.rready.eq(master.rready)

        first, address, length = self.count - 1, masters[-1].araddr, masters[-1].arlen
        for number in reversed(range(self.count - 1)):
            chosen = masters[number].arvalid
            first = Mux(chosen, number, first)
            address, length = Mux(chosen, masters[number].araddr, address), Mux(chosen, masters[number].arlen, length)
        m.d.comb += owners.w_data.eq(first)
        with m.If(bus.arready):
            m.d.sync += bus.arvalid.eq(0)
        with m.If(owners.w_en):
            m.d.sync += [bus.arvalid.eq(1), bus.araddr.eq(address), bus.arlen.eq(length)]
        return m
