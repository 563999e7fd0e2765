"""Names and directions of the bus members, which Vivado goes by."""

from amaranth.lib.wiring import In, Out

from terntable.hw.axi import LitePort, ReadPort, WritePort, axi4_read, axi4_write, axilite

READ = "araddr arlen arsize arburst arcache arprot arvalid arready rdata rresp rlast rvalid rready".split()
WRITE = (
    "awaddr awlen awsize awburst awcache awprot awvalid awready wdata wstrb wlast wvalid wready bresp bvalid "
    "bready"
).split()
LITE = (
    "awaddr awprot awvalid awready wdata wstrb wvalid wready bresp bvalid bready araddr arprot arvalid "
    "arready rdata rresp rvalid rready"
).split()
FROM_SLAVE = {"arready", "rdata", "rresp", "rlast", "rvalid", "awready", "wready", "bresp", "bvalid"}


def flows(members, prefix):
    assert all(name.startswith(prefix) for name in members)
    return {name.removeprefix(prefix): member.flow for name, member in members.items()}


def test_flat_members():
    master = {name: In if name in FROM_SLAVE else Out for name in {*READ, *WRITE, *LITE}}
    assert flows(axi4_read("m_axi_x", 64), "m_axi_x_") == {name: master[name] for name in READ}
    assert flows(axi4_write("m_axi_x", 64), "m_axi_x_") == {name: master[name] for name in WRITE}
    assert flows(axilite("s", 12), "s_") == {name: In if master[name] == Out else Out for name in LITE}


def test_widths():
    read, write, lite = ReadPort(256).members, WritePort(256).members, LitePort(12).members
    assert read["rdata"].shape == write["wdata"].shape == 256
    assert write["wstrb"].shape == 32
    assert (read["araddr"].shape, read["arlen"].shape, read["arsize"].shape, read["arburst"].shape) == (
        64,
        8,
        3,
        2,
    )
    assert (lite["araddr"].shape, lite["awaddr"].shape, lite["rdata"].shape, lite["wstrb"].shape) == (
        12,
        12,
        32,
        4,
    )
