"""What the processor of a board sees, simulated: the accelerator, an interrupt controller, clocks, and memory for buffers."""

import threading

import numpy as np
from numpy.typing import NDArray

from terntable.hw.spec.registers import REGISTERS, STATUS_BUSY
from terntable.sim.errors import SimulatorError
from terntable.sim.simulator import Simulator

__all__ = ["BoardBus", "ContiguousMemory"]

_STATUS = next(register.offset for register in REGISTERS if register.name == "status")

#: Cycles that pass while the host looks at the status once; a look from Python takes a board longer.
LOOK_CYCLES = 500
#: Cycles that pass between two looks at the interrupt line.
SLICE = 2_000

#: Clock registers of a Zynq UltraScale+ (UG1087) as a KV260 starts: base, then offset and value.
_CRL, _CRF = 0xFF5E_0000, 0xFD1A_0000
_PLL = 45 << 8
_CLOCKS = {_CRL + 0x20: _PLL, _CRL + 0x30: _PLL, _CRF + 0x20: _PLL, _CRF + 0x2C: _PLL, _CRF + 0x38: _PLL,
           **{_CRL + 0xC0 + 4 * n: 1 << 24 | 1 << 16 | 15 << 8 for n in range(4)}}

#: Pages of registers that only hold what is written: clocks, and the widths of the processor's ports to the fabric.
_PAGES = {page << 12 for page in (0xFF5E0, 0xFD1A0, 0xFD615, 0xFF419, 0xFD360, 0xFD370, 0xFD380, 0xFD390, 0xFD3A0, 0xFF9B0)}


class BoardBus:
    """Registers by address. Time passes in accesses and in :meth:`run`; threads take turns.

    Parameters
    ----------
    simulator : the accelerator; closed with the bus.

    Attributes
    ----------
    core, interrupts : addresses of the accelerator's registers and of the AXI interrupt controller's, None before a bitstream.

    """

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.core: int | None = None
        self.interrupts: int | None = None
        self._lock = threading.RLock()
        self._words = dict(_CLOCKS)
        self._enabled = self._masters = 0

    def read(self, address: int) -> int:
        """The word at `address`; SimulatorError where nothing answers, which stops the processor of a board."""
        with self._lock:
            if self._is_core(address):
                assert self.core is not None
                if address - self.core == _STATUS:
                    self.simulator.run(LOOK_CYCLES)
                return self.simulator.read_word(address - self.core)
            if self._is_controller(address):
                assert self.interrupts is not None
                return {0x00: self._raw, 0x04: self._raw & self._enabled, 0x08: self._enabled,
                        0x1C: self._masters}.get(address - self.interrupts, 0)
            return self._words[self._known(address)]

    def write(self, address: int, value: int) -> None:
        """Write the word at `address`."""
        with self._lock:
            if self._is_core(address):
                assert self.core is not None
                self.simulator.write_word(address - self.core, value)
            elif self._is_controller(address):
                assert self.interrupts is not None
                self._control(address - self.interrupts, value)
            else:
                self._words[self._known(address)] = value

    def run(self) -> bool:
        """Let a little time pass if the accelerator works; False when it does nothing."""
        with self._lock:
            if not self.simulator.read_word(_STATUS) & STATUS_BUSY:
                return False
            for _ in range(SLICE // LOOK_CYCLES):
                if not self._raw:
                    self.simulator.run(LOOK_CYCLES)
            return True

    @property
    def interrupt(self) -> bool:
        """Whether the processor's interrupt input is high."""
        with self._lock:
            return self._masters == 3 and bool(self._raw & self._enabled)

    def _control(self, offset: int, value: int) -> None:
        if offset == 0x08:
            self._enabled = value
        elif offset == 0x10:
            self._enabled |= value
        elif offset == 0x14:
            self._enabled &= ~value
        elif offset == 0x1C:
            self._masters = value & 3

    @property
    def _raw(self) -> int:
        # The controller's input is a level, so that acknowledging it (offset 0x0C) changes nothing while it lasts.
        return int(self.simulator.interrupt)

    def _is_core(self, address: int) -> bool:
        return self.core is not None and 0 <= address - self.core < 0x1000

    def _is_controller(self, address: int) -> bool:
        return self.interrupts is not None and 0 <= address - self.interrupts < 0x20

    def _known(self, address: int) -> int:
        if address & ~0xFFF not in _PAGES:
            raise SimulatorError(f"Nothing answers at address {address:#x}")
        self._words.setdefault(address, 0)
        return address


class ContiguousMemory:
    """The part of memory that a board sets aside for buffers (CMA), with a host's cache in front: each buffer has two copies.

    Only :meth:`flush` and :meth:`invalidate` make them equal, so that a program which forgets one of them fails here too.

    Parameters
    ----------
    memory : the device's copy, uint8.
    base : its address.
    alignment : of buffers, bytes.

    """

    def __init__(self, memory: NDArray[np.uint8], base: int, *, alignment: int = 1 << 16) -> None:
        self.memory, self.base, self.alignment = memory, base, alignment
        self._used: dict[int, int] = {}

    @property
    def free_bytes(self) -> int:
        """Bytes in no buffer."""
        return len(self.memory) - sum(self._used.values())

    def allocate(self, count: int) -> int:
        """Address of `count` bytes; MemoryError when no gap is large enough."""
        place = -(-self.base // self.alignment) * self.alignment
        for address, size in sorted(self._used.items()):
            if place + count <= address:
                break
            place = -(-(address + size) // self.alignment) * self.alignment
        if place + count > self.base + len(self.memory):
            raise MemoryError(f"Cannot allocate {count} bytes")
        self._used[place] = max(count, 1)
        return place

    def free(self, address: int) -> None:
        """Give back the buffer at `address`."""
        self._used.pop(address, None)

    def flush(self, address: int, cached: NDArray[np.uint8]) -> None:
        """Write the host's copy of the bytes from `address` to memory."""
        self.memory[address - self.base:address - self.base + len(cached)] = cached

    def invalidate(self, address: int, cached: NDArray[np.uint8]) -> None:
        """Read memory into the host's copy."""
        cached[:] = self.memory[address - self.base:address - self.base + len(cached)]
