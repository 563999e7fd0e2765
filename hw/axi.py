"""AXI4 and AXI4-Lite ports: signatures for use inside, flat members for the top, wires between the two.

Vivado finds bus interfaces by port names like ``m_axi_gmem0_araddr``, so the top declares
flat members. There are no identifiers: every burst of a port is in order.
"""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = [
    "AXI_BURST_INCR",
    "OKAY",
    "SLVERR",
    "LitePort",
    "ReadPort",
    "WritePort",
    "axi4_read",
    "axi4_write",
    "axilite",
    "check_bus",
    "connect_flat",
]

AXI_BURST_INCR = 1
OKAY, SLVERR = 0, 2


def _address(letter: str) -> dict[str, wiring.Member]:
    channel = {"addr": 64, "len": 8, "size": 3, "burst": 2, "cache": 4, "prot": 3, "valid": 1}
    return {**{f"a{letter}{name}": Out(width) for name, width in channel.items()}, f"a{letter}ready": In(1)}


class ReadPort(wiring.Signature):
    """The read channels of an AXI4 master with data of `width` bits."""

    def __init__(self, width: int):
        super().__init__(
            {
                **_address("r"),
                "rdata": In(width),
                "rresp": In(2),
                "rlast": In(1),
                "rvalid": In(1),
                "rready": Out(1),
            }
        )


class WritePort(wiring.Signature):
    """The write channels of an AXI4 master with data of `width` bits."""

    def __init__(self, width: int):
        super().__init__(
            {
                **_address("w"),
                "wdata": Out(width),
                "wstrb": Out(width // 8),
                "wlast": Out(1),
                "wvalid": Out(1),
                "wready": In(1),
                "bresp": In(2),
                "bvalid": In(1),
                "bready": Out(1),
            }
        )


class LitePort(wiring.Signature):
    """An AXI4-Lite master with 32-bit data and addresses of `bits` bits."""

    def __init__(self, bits: int):
        super().__init__({
            "awaddr": Out(bits), "awprot": Out(3), "awvalid": Out(1), "awready": In(1),
            "wdata": Out(32), "wstrb": Out(4), "wvalid": Out(1), "wready": In(1),
            "bresp": In(2), "bvalid": In(1), "bready": Out(1),
            "araddr": Out(bits), "arprot": Out(3), "arvalid": Out(1), "arready": In(1),
            "rdata": In(32), "rresp": In(2), "rvalid": In(1), "rready": Out(1),
        })


def axi4_read(prefix: str, width: int) -> dict[str, wiring.Member]:
    """Flat members ``<prefix>_araddr`` ... of an AXI4 read master with data of `width` bits."""
    return {f"{prefix}_{name}": member for name, member in ReadPort(width).members.items()}


def axi4_write(prefix: str, width: int) -> dict[str, wiring.Member]:
    """Flat members ``<prefix>_awaddr`` ... of an AXI4 write master with data of `width` bits."""
    return {f"{prefix}_{name}": member for name, member in WritePort(width).members.items()}


def axilite(prefix: str, bits: int) -> dict[str, wiring.Member]:
    """Flat members ``<prefix>_awaddr`` ... of an AXI4-Lite slave with addresses of `bits` bits."""
    return {f"{prefix}_{name}": member.flip() for name, member in LitePort(bits).members.items()}


def connect_flat(m: Module, top: wiring.Component, prefix: str, port: wiring.PureInterface) -> None:
    """Wire the flat members ``<prefix>_...`` of `top` to the port of the same kind of a submodule."""
    for name, member in port.signature.members.items():
        flat, inner = getattr(top, f"{prefix}_{name}"), getattr(port, name)
        m.d.comb += flat.eq(inner) if member.flow == Out else inner.eq(flat)


def check_bus(*, beat_bytes: int, burst_beats: int) -> None:
    """ValueError if AXI4 has no bursts of `burst_beats` x `beat_bytes` bytes that stay within 4 KiB."""
    if type(beat_bytes) is not int or not 4 <= beat_bytes <= 128 or beat_bytes & (beat_bytes - 1):
        raise ValueError(f"beat_bytes must be a power of two from 4 to 128, not {beat_bytes!r}")
    limit = min(256, 4096 // beat_bytes)
    if type(burst_beats) is not int or not 1 <= burst_beats <= limit or burst_beats & (burst_beats - 1):
        raise ValueError(f"burst_beats must be a power of two from 1 to {limit}, not {burst_beats!r}")
