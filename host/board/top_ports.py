"""The ports of the accelerator's top module, and the buses that they form."""

from dataclasses import dataclass

from terntable.host.board.design import master_ports
from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.ip import REGISTER_PORT

__all__ = ["CLOCK", "INTERRUPT", "RESET", "Bus", "TopPort", "buses_of", "top_ports"]

CLOCK, RESET, INTERRUPT = "clk", "rst", "interrupt"


@dataclass(frozen=True)
class TopPort:
    """A port of the module: direction "input" or "output", width in bits."""

    direction: str
    width: int


@dataclass(frozen=True)
class Bus:
    """An AXI interface: mode "master" or "slave", and the module's ports by the names that AXI has for them."""

    name: str
    mode: str
    ports: dict[str, str]

    @property
    def writes(self) -> bool:
        """Whether it has write channels; each has read channels."""
        return "AWVALID" in self.ports


def top_ports(config: HardwareConfig) -> dict[str, TopPort]:
    """All ports by name, also the clock and the active-high reset, which Amaranth adds."""
    # Only a project needs Amaranth.
    from amaranth.lib.wiring import Out

    from terntable.hw.accelerator import Accelerator

    found = {CLOCK: TopPort("input", 1), RESET: TopPort("input", 1)}
    for name, member in Accelerator(config).signature.members.items():
        found[name] = TopPort("output" if member.flow == Out else "input", member.shape)
    return found


def buses_of(config: HardwareConfig) -> list[Bus]:
    """The AXI interfaces, the slave first."""
    names = top_ports(config)
    return [Bus(bus, "slave" if bus == REGISTER_PORT else "master",
                {name.removeprefix(f"{bus}_").upper(): name for name in names if name.startswith(f"{bus}_")})
            for bus in (REGISTER_PORT, *master_ports(config))]
