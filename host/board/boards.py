"""The boards that the accelerator is built for."""

from dataclasses import dataclass

from terntable.host.errors import InputError
from terntable.hw.spec.config import HardwareConfig, preset

__all__ = ["BOARDS", "Board", "board_of"]

_GIB = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Board:
    """A board with a Zynq UltraScale+.

    Attributes
    ----------
    name, title : as commands and as people call it.
    part : device, package and speed grade, as Vivado calls them.
    board_part : name of its board file for Vivado, without the release; of the module where a carrier holds one.
    preset : the hardware configuration that fits it.
    memory : bytes of DDR of the processor.

    """

    name: str
    title: str
    part: str
    board_part: str
    preset: str
    memory: int

    #: The high-performance slave ports of the processor, widest 128 bits: the accelerator's ports take the first ones.
    hp_ports: tuple[str, ...] = tuple(f"S_AXI_HP{n}_FPD" for n in range(4))

    @property
    def config(self) -> HardwareConfig:
        """Its preset."""
        return preset(self.preset)

    @property
    def memory_ranges(self) -> dict[str, tuple[int, int]]:
        """Address and bytes of the DDR by the name that the processor's ports give it: 2 GiB low, the rest high."""
        low = min(self.memory, 2 * _GIB)
        high = {"DDR_HIGH": (0x8_0000_0000, self.memory - low)} if self.memory > low else {}
        return {"DDR_LOW": (0, low), **high}


#: Names from AMD's board files and product pages.
BOARDS = {
    board.name: board
    for board in (
        Board(name="kv260", title="Kria KV260", part="xck26-sfvc784-2LV-c", board_part="xilinx.com:kv260_som:part0",
              preset="kv260", memory=4 * _GIB),
        Board(name="kr260", title="Kria KR260", part="xck26-sfvc784-2LV-c", board_part="xilinx.com:kr260_som:part0",
              preset="kv260", memory=4 * _GIB),
        Board(name="zcu104", title="ZCU104", part="xczu7ev-ffvc1156-2-e", board_part="xilinx.com:zcu104:part0",
              preset="zcu104", memory=2 * _GIB),
    )
}


def board_of(name: str) -> Board:
    """The board called `name`; InputError lists the known ones."""
    if name not in BOARDS:
        raise InputError(f"Unknown board {name!r}; known: {', '.join(sorted(BOARDS))}")
    return BOARDS[name]
