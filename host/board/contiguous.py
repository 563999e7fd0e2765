"""Buffers that a board's accelerator can read: PYNQ's, with staggered bases, and with words for what is missing."""

import math
import re
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from terntable.host.board.overlay import OpenedOverlay, explained, import_pynq
from terntable.host.errors import DeviceError
from terntable.host.memory import ALIGNMENT, Buffer

__all__ = ["ContiguousBuffer", "ContiguousPool", "contiguous_memory"]

#: Bases that agree in all lower bits send all ports to the same DRAM banks at once: bases differ within this many bytes.
STAGGER = 1 << 16
_PHASES = tuple(phase << 10 for phase in (0, 24, 48, 8, 32, 56, 16, 40))

MEMINFO = Path("/proc/meminfo")


def contiguous_memory(text: str) -> tuple[int, int] | None:
    """Total and free bytes of contiguous memory by the text of /proc/meminfo; None when Linux has none."""
    found = dict(re.findall(r"^(CmaTotal|CmaFree):\s+(\d+) kB$", text, re.MULTILINE))
    return (int(found["CmaTotal"]) << 10, int(found["CmaFree"]) << 10) if len(found) == 2 else None


class ContiguousBuffer(Buffer):
    """A buffer within a larger one of PYNQ's, which begins at the base that it has to."""

    _whole: Any = None

    def flush(self) -> None:
        """Make what the host wrote visible to the device."""
        if self._whole is not None:
            with explained("A buffer cannot be written to the board"):
                self._whole.flush()

    def invalidate(self) -> None:
        """Make what the device wrote visible to the host."""
        if self._whole is not None:
            with explained("A buffer cannot be read from the board"):
                self._whole.invalidate()

    sync_to_device = flush
    sync_from_device = invalidate

    def freebuffer(self) -> None:
        """Give the memory back; a second call does nothing."""
        whole, self._whole = self._whole, None
        if whole is not None:
            whole.freebuffer()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 where: TracebackType | None) -> None:
        self.freebuffer()


class ContiguousPool:
    """Allocates on an opened overlay's device.

    Parameters
    ----------
    needed : bytes that will be asked for in all; DeviceError at once when Linux has not that many.

    """

    def __init__(self, opened: OpenedOverlay, *, needed: int, meminfo: Path = MEMINFO) -> None:
        self._opened, self._needed, self._meminfo = opened, needed, meminfo
        self._count = self._used = 0
        memory = self._memory()
        if memory is not None and memory[0] < needed:
            raise DeviceError(f"The model needs {needed:,} bytes of contiguous memory, but Linux has {memory[0]:,} in all: boot "
                              f"with cma={_mebibytes(needed)}M, see docs/board.md")

    def allocate(self, shape: int | tuple[int, ...], dtype: DTypeLike = np.uint8) -> ContiguousBuffer:
        """A zeroed buffer; DeviceError when memory is used up or the accelerator's ports do not reach it."""
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        kind: np.dtype[Any] = np.dtype(dtype)
        count = math.prod(shape) * kind.itemsize
        whole, base = self._whole(count)
        start = (_PHASES[self._count % len(_PHASES)] - base) % STAGGER
        if base % ALIGNMENT or not self._opened.handoff.reaches(base + start, max(count, 1)):
            whole.freebuffer()
            ranges = ", ".join(f"{low:#x} to {high:#x}" for low, high in self._opened.handoff.memory)
            why = f"the memory ports of {self._opened.bitfile.name} reach {ranges}" if not base % ALIGNMENT else \
                f"buffers begin at multiples of {ALIGNMENT}"
            raise DeviceError(f"Linux gave a buffer of {count:,} bytes at {base + start:#x}, but {why}")
        self._count, self._used = self._count + 1, self._used + count
        raw = whole.view(np.ndarray)[start:start + count]
        raw[:] = 0
        buffer = raw.view(kind).reshape(shape).view(ContiguousBuffer)
        buffer.device_address, buffer._whole = base + start, whole
        buffer.flush()
        return buffer

    def _whole(self, count: int) -> tuple[Any, int]:
        """A buffer of PYNQ's with room to stagger, and its address."""
        try:
            # Cached, for the host writes weights and reads logits through it; flush and invalidate do the rest.
            whole = import_pynq().allocate((count + STAGGER,), np.uint8, target=self._opened.overlay.device, cacheable=1)
            # A board on the network says only here that it had no memory.
            return whole, int(whole.device_address)
        except Exception as error:
            memory = self._memory()
            state = f"{memory[1]:,} of its {memory[0]:,} bytes of contiguous memory are free" if memory else \
                "how much contiguous memory is free is not known"
            raise DeviceError(f"A buffer of {count:,} bytes does not fit: {state}, and the model needs {self._needed:,} in all. "
                              f"Close other overlays, or boot with cma={_mebibytes(self._needed)}M, see docs/board.md "
                              f"({error})") from error

    def _memory(self) -> tuple[int, int] | None:
        try:
            if self._opened.remote:
                return contiguous_memory(self._opened.overlay.device.read_file(str(MEMINFO)).decode())
            return contiguous_memory(self._meminfo.read_text())
        except Exception:
            # Only used to explain; PYNQ's own answer counts.
            return None


def _mebibytes(count: int) -> int:
    """What to ask Linux for: with a quarter to spare, and in steps of 128 MiB."""
    return -(-count * 5 // 4 // (128 << 20)) * 128
