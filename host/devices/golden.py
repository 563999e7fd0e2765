"""The golden model as a device: the same registers, programs and bytes as the hardware, without time."""

from collections.abc import Callable

import numpy as np
from numpy.typing import DTypeLike

from terntable.host.device import Device
from terntable.host.memory import ALIGNMENT, Buffer, MemoryPool
from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.program import Fault
from terntable.hw.spec.registers import (
    CONTROL_RESET,
    CONTROL_START,
    COUNTERS,
    IDENT,
    REGISTERS,
    STATUS_DONE,
    STATUS_ERROR,
    VERSION,
    geometry_of,
)
from terntable.models.golden.machine import Machine, MachineFault

__all__ = ["GoldenDevice"]

_WIDTH = {register.name: register.width for register in REGISTERS}
_WRITABLE = {register.name for register in REGISTERS if register.access == "rw"}


class GoldenDevice(Device):
    """Runs passes on :class:`terntable.models.golden.machine.Machine`.

    Parameters
    ----------
    config : the instance.
    memory_bytes : device memory; nothing is ever allocated in its first page, so address 0 is never right.

    """

    name = "golden"
    clock_hz = None

    def __init__(self, config: HardwareConfig, *, memory_bytes: int) -> None:
        if memory_bytes < 2 * ALIGNMENT:
            raise ValueError(f"memory_bytes must be at least {2 * ALIGNMENT}, not {memory_bytes}")
        self.config = config
        self.machine = Machine(config, np.zeros(memory_bytes, np.uint8))
        self._pool = MemoryPool(self.machine.memory, first=ALIGNMENT, on_flush=self.machine.weights.written)
        self._registers = dict.fromkeys(_WIDTH, 0) | {"ident": IDENT, "version": VERSION} | geometry_of(config)
        self.check_identity()

    def allocate(self, shape: int | tuple[int, ...], dtype: DTypeLike = np.uint8) -> Buffer:
        """A zeroed buffer; DeviceError when memory is used up."""
        return self._pool.allocate(shape, dtype)

    def read_register(self, name: str) -> int:
        """Value of the register called `name`; KeyError for an unknown one."""
        return self._registers[name]

    def write_register(self, name: str, value: int) -> None:
        """Write the register called `name`, ignored for a read-only one; KeyError for an unknown one."""
        if not 0 <= value < 1 << _WIDTH[name]:
            raise ValueError(f"Register {name} has {_WIDTH[name]} bits, {value:#x} does not fit")
        if name == "control":
            if value & CONTROL_RESET:
                self._registers |= {"status": 0, "fault_cause": 0, "fault_index": 0}
            if value & CONTROL_START:
                self._run()
        elif name in _WRITABLE:
            self._registers[name] = value

    def until_done(self, *, deadline_seconds: float, deadline_cycles: int | None,
                   progress: Callable[[int], None] | None) -> None:
        """Nothing to wait for: a pass is done when `start` returns."""

    def close(self) -> None:
        """Nothing to let go of."""

    def counters(self) -> dict[str, int | None]:
        """Bytes and descriptors of the last pass; None for everything that is counted in cycles."""
        counted = {"stream_bytes", "read_bytes", "write_bytes", "descriptors"}
        return {name: self._registers[name] if name in counted else None for name in COUNTERS}

    def _run(self) -> None:
        machine, registers = self.machine, self._registers
        machine.registers = registers
        outcome = {"status": STATUS_DONE, "fault_cause": int(Fault.NONE), "fault_index": 0}
        try:
            registers["descriptors"] = machine.run()
        except MachineFault as fault:
            outcome = {"status": STATUS_ERROR, "fault_cause": int(fault.cause), "fault_index": fault.index}
            registers["descriptors"] = fault.index
        registers |= outcome
        for name in ("stream_bytes", "read_bytes", "write_bytes"):
            registers[name] = getattr(machine, name)
