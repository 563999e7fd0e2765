"""The accelerator on a board, through PYNQ."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from terntable.host.board.background import InterruptLine
from terntable.host.board.clock import set_clock
from terntable.host.board.contiguous import MEMINFO, ContiguousPool
from terntable.host.board.overlay import OpenedOverlay
from terntable.host.device import Device
from terntable.host.errors import DeviceError, DeviceTimeout
from terntable.host.memory import Buffer
from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.registers import STATUS_BUSY, STATUS_DONE, STATUS_ERROR

__all__ = ["PynqDevice"]

#: What a device of `terntable.sim` calls itself.
SIMULATED = "simulated"

#: Between two looks at the status, in seconds: well below a pass, and long enough not to take the memory's time.
POLL_SECONDS = 50e-6
#: The longest sleep on an interrupt before the status is looked at all the same.
NAP_SECONDS = 0.25


class PynqDevice(Device):
    """Runs passes on the bitstream that it loads.

    Parameters
    ----------
    config : the instance that the bitstream was built from; its registers are compared with it.
    bitfile : the ``.bit``, with its ``.hwh`` beside it.
    memory_bytes : what will be allocated in all.
    clock_hz : of the fabric; that of `config` if None.
    interrupt : False polls the status, which is also done when the interrupt is not wired or stays away.
    deadline_seconds : of any pass, however long a deadline it is given.
    progress : called with a sentence for each step.

    Raises
    ------
    DeviceError
        There is no board, the bitstream is another or an older one, memory is too small, or the clock is not as wanted.

    """

    name = "pynq"
    reads_back = True

    def __init__(self, config: HardwareConfig, *, bitfile: Path | str, memory_bytes: int = 0, clock_hz: int | None = None,
                 interrupt: bool = True, deadline_seconds: float = 60.0, progress: Callable[[str], None] | None = None,
                 meminfo: Path = MEMINFO) -> None:
        self.config = config
        self.clock_hz: int | None = None
        self._deadline = deadline_seconds
        if progress is not None:
            progress(f"Loading {bitfile}")
        self._opened = OpenedOverlay(Path(bitfile))
        found = str(self._opened.overlay.device.name)
        self.board = None if found == SIMULATED else found
        self.check_identity()
        self.clock_hz = set_clock(self._opened, clock_hz or config.clock_hz)
        # A pass of whoever had the board before may still run.
        self.reset()
        self._pool = ContiguousPool(self._opened, needed=memory_bytes, meminfo=meminfo)
        self._line = InterruptLine.of(self._opened.driver) if interrupt else None
        self.write_register("interrupt_enable", int(self._line is not None))
        if progress is not None:
            progress(f"{config.name} at {self.clock_hz / 1e6:g} MHz, {'interrupt' if self._line else 'polling'}")

    @property
    def has_interrupt(self) -> bool:
        """Whether waits sleep on the interrupt."""
        return self._line is not None

    def allocate(self, shape: int | tuple[int, ...], dtype: DTypeLike = np.uint8) -> Buffer:
        """A zeroed buffer; DeviceError when memory is used up."""
        return self._pool.allocate(shape, dtype)

    def read_register(self, name: str) -> int:
        """Value of the register called `name`; KeyError for an unknown one."""
        return self._opened.read(name)

    def write_register(self, name: str, value: int) -> None:
        """Write the register called `name`; KeyError for an unknown one."""
        self._opened.write(name, value)

    def until_done(self, *, deadline_seconds: float, deadline_cycles: int | None,
                   progress: Callable[[int], None] | None) -> None:
        """Wait until the pass has ended; both deadlines count, seconds for a device that answers nothing sensible."""
        seconds = min(deadline_seconds, self._deadline)
        end, look = time.monotonic() + seconds, time.monotonic() + NAP_SECONDS
        while not self._ended():
            now = time.monotonic()
            if now > end:
                raise DeviceTimeout(f"Device {self.name} did not finish a pass within {seconds:g} seconds; its status is "
                                    f"{self.read_register('status'):#x}")
            if now > look:
                look = now + NAP_SECONDS
                cycles = self.read_register("cycles")
                if deadline_cycles is not None and cycles > deadline_cycles:
                    return
                if progress is not None:
                    progress(cycles)
            self._pause(end - now)

    def close(self) -> None:
        """Stop what runs; the bitstream stays loaded."""
        self._line = None
        # Whoever closes it after an error wants to hear of that error.
        with contextlib.suppress(DeviceError):
            self.write_register("interrupt_enable", 0)

    def _ended(self) -> bool:
        status = self.read_register("status")
        if status & ~(STATUS_BUSY | STATUS_DONE | STATUS_ERROR):
            raise DeviceError(f"Device {self.name} reads status {status:#x}, which has bits that no status has: the bus or the "
                              "bitstream does not answer")
        return bool(status & (STATUS_DONE | STATUS_ERROR))

    def _pause(self, left: float) -> None:
        if self._line is None:
            time.sleep(POLL_SECONDS)
        elif not self._line.wait(min(left, NAP_SECONDS)) and self._ended() and not self._line.wait(NAP_SECONDS):
            # It ended, perhaps as the nap did, and still nobody was told: the interrupt is wired, but does not come.
            self._line = None
