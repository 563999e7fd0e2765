"""What the host needs of an accelerator: memory, registers, start, wait. It keeps to what `pynq` offers."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType

import numpy as np
from numpy.typing import DTypeLike

from terntable.host.errors import DeviceError, DeviceFault, DeviceTimeout
from terntable.host.memory import Buffer
from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.registers import (
    CONTROL_RESET,
    CONTROL_START,
    COUNTERS,
    IDENT,
    STATUS_BUSY,
    STATUS_DONE,
    STATUS_ERROR,
    VERSION,
    geometry_of,
)

__all__ = ["Device"]

#: A reset waits for what is in flight on the bus, a few thousand cycles at most.
RESET_POLLS = 20_000


class Device(ABC):
    """One accelerator. Close it, or use it as a context.

    Attributes
    ----------
    name : what the command line calls this kind of device.
    config : the instance.
    clock_hz : what its cycles are converted with, None where time has no meaning.
    reads_back : whether a loaded program is read back and compared, since something on the way may fail.
    board : what a board calls itself; None where there is none, so that cycles are simulated and the clock is assumed.

    """

    name: str
    config: HardwareConfig
    clock_hz: int | None
    reads_back: bool = False
    board: str | None = None

    @abstractmethod
    def allocate(self, shape: int | tuple[int, ...], dtype: DTypeLike = np.uint8) -> Buffer:
        """A zeroed buffer at an address that is a multiple of 4096; DeviceError when memory is used up."""

    @abstractmethod
    def read_register(self, name: str) -> int:
        """Value of the register called `name`; KeyError for an unknown one."""

    @abstractmethod
    def write_register(self, name: str, value: int) -> None:
        """Write the register called `name`; KeyError for an unknown one."""

    @abstractmethod
    def until_done(self, *, deadline_seconds: float, deadline_cycles: int | None,
                   progress: Callable[[int], None] | None) -> None:
        """Return when the pass has ended or a deadline is over; `progress` gets the cycles so far."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the device; its buffers are no longer valid."""

    def start(self) -> None:
        """Ring the doorbell."""
        self.write_register("control", CONTROL_START)

    def wait(self, *, deadline_seconds: float = 60.0, deadline_cycles: int | None = None,
             progress: Callable[[int], None] | None = None) -> None:
        """Wait for the end of the pass.

        Raises
        ------
        DeviceTimeout
            It has not ended by the deadline.
        DeviceFault
            It ended with an error.

        """
        self.until_done(deadline_seconds=deadline_seconds, deadline_cycles=deadline_cycles, progress=progress)
        status = self.read_register("status")
        if status & STATUS_ERROR:
            raise DeviceFault(self.read_register("fault_cause"), self.read_register("fault_index"))
        if not status & STATUS_DONE:
            seconds, cycles = f"{deadline_seconds:g} seconds", f"{deadline_cycles} cycles"
            limit = seconds if deadline_cycles is None else cycles
            raise DeviceTimeout(f"Device {self.name} did not finish a pass within {limit}")

    def reset(self) -> None:
        """Stop what runs and clear status and fault; memory and base registers stay.

        Raises DeviceTimeout if it stays busy.
        """
        self.write_register("control", CONTROL_RESET)
        for _ in range(RESET_POLLS):
            if not self.read_register("status") & STATUS_BUSY:
                return
        raise DeviceTimeout(f"Device {self.name} is still busy after a reset and {RESET_POLLS} looks at its "
                            "status")

    def counters(self) -> dict[str, int | None]:
        """The counters of the last pass by register name; None where a device does not count."""
        return {name: self.read_register(name) for name in COUNTERS}

    def check_identity(self) -> None:
        """DeviceError unless this is an accelerator of this version and of the expected geometry."""
        for name, wanted in (("ident", IDENT), ("version", VERSION), *geometry_of(self.config).items()):
            value = self.read_register(name)
            if value != wanted:
                raise DeviceError(f"Device {self.name} reads {name} {value:#x}, but preset "
                                  f"{self.config.name} of this version has {wanted:#x}")

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 where: TracebackType | None) -> None:
        self.close()
