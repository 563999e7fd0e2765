"""The accelerator's driver for PYNQ: importing this module binds it to the core in every overlay."""

from typing import Any

from pynq import DefaultIP

from terntable.hw.spec.ip import VLNV
from terntable.hw.spec.registers import REGISTERS

__all__ = ["TerntableIP"]

_REGISTERS = {register.name: register for register in REGISTERS}
_WORD = 0xFFFF_FFFF


class TerntableIP(DefaultIP):
    """Registers by name. `register_map` of the base class shows them all, and `interrupt` is the core's line, if it is wired."""

    bindto = [VLNV]

    def __init__(self, description: dict[str, Any]) -> None:
        super().__init__(description)

    def read_register(self, name: str) -> int:
        """Value of the register called `name`, 32 or 64 bits; KeyError for an unknown one."""
        register = _REGISTERS[name]
        # PYNQ.remote of version 3 gives signed words.
        return sum((int(self.read(register.offset + 4 * n)) & _WORD) << 32 * n for n in range(register.width // 32))

    def write_register(self, name: str, value: int) -> None:
        """Write the register called `name`; KeyError for an unknown one, ValueError for a value too wide."""
        register = _REGISTERS[name]
        if not 0 <= value < 1 << register.width:
            raise ValueError(f"Register {name} has {register.width} bits, {value:#x} does not fit")
        for n in range(register.width // 32):
            self.write(register.offset + 4 * n, int(value) >> 32 * n & _WORD)
