"""A board for unmodified PYNQ, without a board: a `pynq.Device` whose accelerator is the Verilated one.

    with SimulatedBoard(preset("nano"), memory_bytes=1 << 22).active():
        overlay = pynq.Overlay("terntable_nano.bit")

The bitstream may be any file; the hardware handoff beside it says where the registers are.
"""

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pynq.interrupt
import pynq.ps
from pynq.buffer import PynqBuffer
from pynq.pl_server.device import Device
from pynqmetadata.frontends import Metadata
from pynqmetadata.views.runtime import RuntimeMetadataParser

from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.ip import LIBRARY, NAME, VENDOR
from terntable.sim.board_bus import BoardBus, ContiguousMemory
from terntable.sim.simulator import Simulator

__all__ = ["SimulatedBoard"]

_CORE, _CONTROLLER = f"{VENDOR}:{LIBRARY}:{NAME}:", "xilinx.com:ip:axi_intc:"


class SimulatedBoard(Device):
    """A Zynq UltraScale+ with the accelerator in its fabric, whatever bitstream is loaded.

    Parameters
    ----------
    config : the instance in the fabric.
    memory_bytes : what the board has for contiguous buffers.
    interrupts : False leaves the interrupt unheard, as on a board whose device tree does not know it.
    timing : of the memory, as :class:`terntable.sim.memory_timing.MemoryTiming`.

    """

    def __init__(self, config: HardwareConfig, *, memory_bytes: int, interrupts: bool = True,
                 progress: Callable[[str], None] | None = None, **timing: Any) -> None:
        super().__init__("simulated")
        self.name, self.arch = "simulated", pynq.ps.ZU_ARCH
        self.capabilities = {"REGISTER_RW": True}
        self.bus = BoardBus(Simulator.open(config, memory_bytes, progress=progress, **timing))
        self.contiguous = ContiguousMemory(self.bus.simulator.memory, self.bus.simulator.base)
        self._line = _Line(self.bus) if interrupts else None

    @contextmanager
    def active(self) -> Iterator["SimulatedBoard"]:
        """Be PYNQ's active device for a while, and close in the end."""
        clocks, controllers = pynq.ps.Clocks, pynq.interrupt._InterruptController
        before, lines = getattr(Device, "_active_device", None), dict(controllers._uio_devices)
        instance = getattr(clocks, "_real_instance", None)

        def forget() -> None:
            # PYNQ keeps what it found out about one board for the next.
            controllers._controllers.clear()
            controllers._uio_devices.clear()
            if hasattr(clocks, "_real_instance"):
                del clocks._real_instance

        try:
            forget()
            Device.active_device = self
            if not hasattr(clocks, "set_device"):
                # PYNQ 3 looks at the machine that Python runs on.
                clocks._real_instance = pynq.ps._ClocksUltrascale()
            yield self
        finally:
            forget()
            controllers._uio_devices.update(lines)
            del Device._active_device
            if before is not None:
                Device.active_device = before
            if instance is not None:
                clocks._real_instance = instance
            self.bus.simulator.close()

    def read_registers(self, address: int, length: int) -> bytes:
        """PYNQ's way to read words."""
        return b"".join(self.bus.read(address + n).to_bytes(4, "little") for n in range(0, length, 4))

    def write_registers(self, address: int, data: bytes) -> None:
        """PYNQ's way to write words."""
        for n in range(0, len(data), 4):
            self.bus.write(address + n, int.from_bytes(bytes(data[n:n + 4]), "little"))
        if self._line is not None:
            self._line.work()

    def allocate(self, shape: int | tuple[int, ...], dtype: Any, **options: Any) -> PynqBuffer:
        """A buffer whose memory goes back when it is freed; RuntimeError, as on a board, when memory is used up."""
        count = math.prod((shape,) if isinstance(shape, int) else shape) * np.dtype(dtype).itemsize
        try:
            address = self.contiguous.allocate(count)
        except MemoryError as error:
            raise RuntimeError(f"BO allocation failed: {error}") from error
        cached = np.zeros(count, np.uint8)
        buffer = _Buffer(shape, dtype, device=self, device_address=address, bo=(address, cached), coherent=False,
                         buffer=cached.data)
        buffer.give_back = lambda: self.contiguous.free(address)
        return buffer

    def flush(self, bo: tuple[int, Any], offset: int, pointer: int, count: int) -> None:
        """Write a buffer's cached bytes to memory."""
        address, cached = bo
        self.contiguous.flush(address + offset, cached[offset:offset + count])

    def invalidate(self, bo: tuple[int, Any], offset: int, pointer: int, count: int) -> None:
        """Read a buffer's bytes from memory."""
        address, cached = bo
        self.contiguous.invalidate(address + offset, cached[offset:offset + count])

    def get_bitfile_metadata(self, bitfile_name: str, partial: bool = False) -> RuntimeMetadataParser:
        """What the handoff beside a bitstream says."""
        return RuntimeMetadataParser(Metadata(input=str(Path(bitfile_name).with_suffix(".hwh"))))

    def download(self, bitstream: Any, parser: Any = None) -> None:
        """Put the registers where the handoff has them."""
        for details in parser.ip_dict.values():
            if details["type"].startswith(_CORE):
                self.bus.core = details["phys_addr"]
            elif details["type"].startswith(_CONTROLLER):
                self.bus.interrupts = details["phys_addr"]
        if self._line is not None:
            for details in parser.interrupt_controllers.values():
                pynq.interrupt._InterruptController._uio_devices[details["raw_irq"]] = self._line
        self.post_download(bitstream, parser, self.name)

    def gen_cache(self, bitstream: Any, parser: Any = None) -> None:
        """Nothing is kept."""

    def get_memory(self, description: Any) -> "SimulatedBoard":
        """All memory is one."""
        return self


class _Buffer(PynqBuffer):
    """PYNQ's own would be unmapped when it is freed."""

    give_back: Callable[[], None] | None = None

    def freebuffer(self) -> None:
        """Give the memory back; nothing for a second time, or a view."""
        give_back, self.give_back = self.give_back, None
        if give_back is not None:
            give_back()


class _Line:
    """The interrupt of the processor, with the methods of `pynq.uio.UioController`. While it is waited for, time passes."""

    def __init__(self, bus: BoardBus) -> None:
        self._bus = bus
        self._events: list[Any] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def add_event(self, event: Any, number: int) -> None:
        """Set `event` at the next interrupt."""
        self._events.append(event)
        self._loop = asyncio.get_running_loop()
        self._begin()

    def work(self) -> None:
        """Look whether something that was written lets the accelerator work."""
        if self._events and self._loop is not None:
            self._loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        if self._task is None or self._task.done():
            assert self._loop is not None
            self._task = self._loop.create_task(self._pass_time())

    async def _pass_time(self) -> None:
        while self._events:
            if self._bus.interrupt:
                events, self._events = self._events, []
                for event in events:
                    event.set()
            elif not self._bus.run():
                return
            await asyncio.sleep(0)
