"""The block design around the accelerator: names and addresses that its Tcl and the simulation's HWH share."""

from terntable.host.board.boards import Board
from terntable.host.errors import InputError
from terntable.hw.spec.config import HardwareConfig

__all__ = ["CLOCK_SOURCE_HZ", "INTERRUPTS", "INTERRUPTS_BASE", "INTERRUPTS_RANGE", "PROCESSOR", "PROCESSOR_PORT", "check_fits",
           "clock_divisors", "master_ports", "port_widths"]

#: Cells: the processor, and the interrupt controller that PYNQ wants between a core and the processor.
PROCESSOR, INTERRUPTS = "zynq_ps", "axi_intc_0"

#: The processor's port to all registers.
PROCESSOR_PORT = "M_AXI_HPM0_FPD"

INTERRUPTS_BASE, INTERRUPTS_RANGE = 0xA001_0000, 0x1_0000

#: What the processor divides its clocks for the fabric from: 45 times the 33.333 MHz of all boards here.
CLOCK_SOURCE_HZ = 45 * 33_333_000


def master_ports(config: HardwareConfig) -> tuple[str, ...]:
    """The accelerator's AXI masters. The first one writes too."""
    return tuple(f"m_axi_gmem{n}" for n in range(config.ports))


def port_widths(config: HardwareConfig) -> dict[str, int]:
    """Bits of the processor's ports, by the names that its settings have: the one to the registers, then those to memory.

    The first is as wide as boards boot with, since it is software that has to change what a bitstream cannot.
    """
    return {"MAXIGP0": 128, **{f"SAXIGP{2 + n}": 8 * config.port_bytes for n in range(config.ports)}}


def clock_divisors(config: HardwareConfig) -> tuple[int, int]:
    """The two divisors, of 1 to 63, that give the fastest clock which is not above the preset's; the second as small as can be."""
    pairs = [(a, b) for b in range(1, 64) for a in range(1, 64) if a * b * config.clock_hz >= CLOCK_SOURCE_HZ]
    return min(pairs, key=lambda pair: (pair[0] * pair[1], pair[1]))


def check_fits(config: HardwareConfig, board: Board) -> None:
    """InputError if the board's ports cannot take the preset's."""
    if config.ports > len(board.hp_ports):
        raise InputError(f"{board.title} has {len(board.hp_ports)} ports to its memory, and {config.name} needs {config.ports}")
    if config.port_bytes not in (4, 8, 16):
        raise InputError(f"The memory ports of {board.title} are 32, 64 or 128 bits wide, and those of {config.name} are "
                         f"{8 * config.port_bytes}")
