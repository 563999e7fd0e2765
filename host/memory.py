"""Memory that a device and the host share: a first-fit pool of aligned, NumPy-like buffers."""

import math
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from terntable.host.errors import DeviceError

__all__ = ["ALIGNMENT", "Buffer", "MemoryPool"]

#: Buffers begin at multiples of this: AXI bursts must not cross it, and boards allocate pages of it.
ALIGNMENT = 4096


class Buffer(np.ndarray):
    """An array in device memory, with the methods of a `pynq` buffer; slices of it have no address.

    Attributes
    ----------
    device_address : where the device sees the first byte.

    """

    device_address: int = 0
    _pool: "MemoryPool | None" = None

    def flush(self) -> None:
        """Make what the host wrote visible to the device."""
        if self._pool is not None:
            self._pool.flushed(self.device_address, self.nbytes)

    def invalidate(self) -> None:
        """Make what the device wrote visible to the host."""

    sync_to_device = flush
    sync_from_device = invalidate

    def freebuffer(self) -> None:
        """Give the memory back; a second call does nothing."""
        if self._pool is not None:
            self._pool.free(self.device_address)
            self._pool = None

    def __enter__(self) -> "Buffer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 where: TracebackType | None) -> None:
        self.freebuffer()


class MemoryPool:
    """Gives out parts of one flat memory.

    Parameters
    ----------
    memory : uint8, shape (size,).
    base : the address of its first byte.
    first : lowest address given out.
    on_flush : called with address and bytes of every flushed buffer.

    """

    def __init__(self, memory: NDArray[np.uint8], *, base: int = 0, first: int | None = None,
                 on_flush: Callable[[int, int], None] | None = None) -> None:
        self.memory, self.base = memory, base
        self._first = base if first is None else first
        self._on_flush = on_flush
        self._used: dict[int, int] = {}

    def allocate(self, shape: int | tuple[int, ...], dtype: DTypeLike = np.uint8) -> Buffer:
        """A zeroed buffer; DeviceError names sizes when no gap is large enough."""
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        kind: np.dtype[Any] = np.dtype(dtype)
        count = math.prod(shape) * kind.itemsize
        address = self._gap(count)
        raw = self.memory[address - self.base:address - self.base + count]
        raw[:] = 0
        buffer = raw.view(kind).reshape(shape).view(Buffer)
        buffer.device_address, buffer._pool = address, self
        self._used[address] = max(count, 1)
        return buffer

    def free(self, address: int) -> None:
        """Give back the buffer at `address`."""
        self._used.pop(address, None)

    def flushed(self, address: int, count: int) -> None:
        """Pass on that `count` bytes at `address` were written."""
        if self._on_flush is not None:
            self._on_flush(address, count)

    def _gap(self, count: int) -> int:
        end = self.base + len(self.memory)
        place = -(-self._first // ALIGNMENT) * ALIGNMENT
        for address, size in sorted(self._used.items()):
            if place + count <= address:
                return place
            place = -(-(address + size) // ALIGNMENT) * ALIGNMENT
        if place + count > end:
            raise DeviceError(f"A buffer of {count} bytes does not fit: {sum(self._used.values())} of the "
                              f"device's {len(self.memory)} bytes are in use")
        return place
