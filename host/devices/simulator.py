"""The Verilated accelerator as a device."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from terntable.host.device import Device
from terntable.host.errors import DeviceError
from terntable.host.memory import Buffer, MemoryPool
from terntable.hw.spec.config import HardwareConfig
from terntable.sim.errors import SimulatorError
from terntable.sim.simulator import Simulator

__all__ = ["SimulatorDevice"]

#: Cycles between two reports of progress; an interrupt from the keyboard is heard as often.
SLICE = 50_000


class SimulatorDevice(Device):
    """Runs passes on :class:`terntable.sim.simulator.Simulator`.

    Time passes only in register accesses and waits.

    Parameters
    ----------
    config : the instance; its library is built if needed.
    memory_bytes : device memory.
    progress : told about the steps of a build.
    trace : file for a waveform.
    threads : of the simulation, 1 or 2.
    timing : of the memory, as :class:`terntable.sim.memory_timing.MemoryTiming`.

    """

    name = "sim"

    def __init__(self, config: HardwareConfig, *, memory_bytes: int,
                 progress: Callable[[str], None] | None = None,
                 trace: Path | None = None, threads: int = 1, **timing: Any) -> None:
        self.config, self.clock_hz = config, config.clock_hz
        self.simulator = Simulator.open(config, memory_bytes, trace=trace, progress=progress, threads=threads,
                                        **timing)
        self._pool = MemoryPool(self.simulator.memory, base=self.simulator.base)
        self.write_register("interrupt_enable", 1)
        self.check_identity()

    def allocate(self, shape: int | tuple[int, ...], dtype: DTypeLike = np.uint8) -> Buffer:
        """A zeroed buffer; DeviceError when memory is used up."""
        return self._pool.allocate(shape, dtype)

    def read_register(self, name: str) -> int:
        """Value of the register called `name`; KeyError for an unknown one."""
        try:
            return self.simulator.read(name)
        except SimulatorError as error:
            raise DeviceError(str(error)) from error

    def write_register(self, name: str, value: int) -> None:
        """Write the register called `name`; KeyError for an unknown one."""
        try:
            self.simulator.write(name, value)
        except SimulatorError as error:
            raise DeviceError(str(error)) from error

    def until_done(self, *, deadline_seconds: float, deadline_cycles: int | None,
                   progress: Callable[[int], None] | None) -> None:
        """Let time pass until the interrupt; with a deadline in cycles, the one in seconds does not count."""
        start, end = self.simulator.counters.cycles, time.monotonic() + deadline_seconds
        left: float = math.inf if deadline_cycles is None else deadline_cycles
        while left > 0 and not self.simulator.interrupt:
            step = int(min(SLICE, left))
            try:
                self.simulator.wait(step)
            except SimulatorError:
                self._check_alive()
                left -= step
                if progress is not None:
                    progress(self.simulator.counters.cycles - start)
            if deadline_cycles is None and time.monotonic() > end:
                return

    def close(self) -> None:
        """End the simulation."""
        self.simulator.close()

    def _check_alive(self) -> None:
        """Not being done yet is no error, but a broken bus protocol stays broken."""
        try:
            self.simulator.run(1)
        except SimulatorError as error:
            raise DeviceError(str(error)) from error
