"""Everything that passes between host and device, written to a file of JSON lines, and a device that plays such a file.

A recording of a real board is a test that needs no board: the replay stops at the first thing that the host does otherwise.
"""

import base64
import json
import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from terntable.host.device import Device
from terntable.host.errors import DeviceError, DeviceTimeout
from terntable.host.memory import ALIGNMENT, Buffer
from terntable.hw.spec.config import HardwareConfig

__all__ = ["RecordingDevice", "ReplayDevice"]

Entry = dict[str, Any]


class _Hooked(Buffer):
    """A buffer that tells of its transfers."""

    _flushed: Callable[[Buffer], None] | None = None
    _invalidated: Callable[[Buffer], None] | None = None
    _freed: Callable[[], None] | None = None

    def flush(self) -> None:
        """Tell of what the host wrote."""
        if self._flushed is not None:
            self._flushed(self)

    def invalidate(self) -> None:
        """Tell of what the device wrote."""
        if self._invalidated is not None:
            self._invalidated(self)

    sync_to_device = flush
    sync_from_device = invalidate

    def freebuffer(self) -> None:
        """Give the memory back."""
        freed, self._freed = self._freed, None
        if freed is not None:
            freed()


class RecordingDevice(Device):
    """Passes everything on to another device, and writes it down. Closing it closes the other.

    Parameters
    ----------
    device : the one that works.
    path : the file; what was there is replaced.

    """

    def __init__(self, device: Device, path: Path) -> None:
        self.inner = device
        self.name, self.config, self.clock_hz, self.reads_back = device.name, device.config, device.clock_hz, device.reads_back
        self.board = device.board
        self._file = path.open("w")
        self._sent: dict[int, int] = {}
        self._note({"op": "open", "device": device.name, "clock_hz": device.clock_hz, "reads_back": device.reads_back,
                    "config": asdict(device.config)})

    def allocate(self, shape: int | tuple[int, ...], dtype: DTypeLike = np.uint8) -> Buffer:
        """A buffer of the other device."""
        inner = self.inner.allocate(shape, dtype)
        buffer = inner.view(_Hooked)
        address = buffer.device_address = inner.device_address

        def flushed(written: Buffer) -> None:
            inner.flush()
            self._sent[address] = zlib.crc32(written.data)
            self._note({"op": "flush", "address": address, "crc32": self._sent[address]})

        def invalidated(read: Buffer) -> None:
            inner.invalidate()
            same = self._sent.get(address) == zlib.crc32(read.data)
            # A loaded program that is read back need not be in the file.
            data = None if same else base64.b64encode(zlib.compress(read.tobytes())).decode()
            self._note({"op": "invalidate", "address": address, "data": data})

        def freed() -> None:
            self._note({"op": "free", "address": address})
            inner.freebuffer()

        buffer._flushed, buffer._invalidated, buffer._freed = flushed, invalidated, freed
        self._note({"op": "allocate", "bytes": inner.nbytes, "address": address})
        return buffer

    def read_register(self, name: str) -> int:
        """Value of the register called `name`."""
        value = self.inner.read_register(name)
        self._note({"op": "read", "name": name, "value": value})
        return value

    def write_register(self, name: str, value: int) -> None:
        """Write the register called `name`."""
        self._note({"op": "write", "name": name, "value": int(value)})
        self.inner.write_register(name, value)

    def until_done(self, *, deadline_seconds: float, deadline_cycles: int | None,
                   progress: Callable[[int], None] | None) -> None:
        """Wait. How often the other looks at its status is chance, and not written down."""
        error: str | None = None
        try:
            self.inner.until_done(deadline_seconds=deadline_seconds, deadline_cycles=deadline_cycles, progress=progress)
        except DeviceTimeout as timeout:
            error = str(timeout)
            raise
        finally:
            self._note({"op": "wait", "timeout": error})

    def close(self) -> None:
        """Close the file and the other device."""
        self._note({"op": "close"})
        self._file.close()
        self.inner.close()

    def _note(self, entry: Entry) -> None:
        if not self._file.closed:
            self._file.write(json.dumps(entry) + "\n")


class ReplayDevice(Device):
    """Answers as a recording says. DeviceError names the line at which the host does something else than it did then.

    Parameters
    ----------
    path : a file of :class:`RecordingDevice`.

    """

    def __init__(self, path: Path) -> None:
        self._path, self._line = path, 0
        try:
            self._entries: list[Entry] = [json.loads(line) for line in path.read_text().splitlines()]
            opened = self._entries[0]
            self.config, self.clock_hz = HardwareConfig(**opened["config"]), opened["clock_hz"]
            self.name, self.reads_back = opened["device"], opened["reads_back"]
        except (OSError, ValueError, IndexError, KeyError, TypeError) as error:
            raise DeviceError(f"{path} is not a recording of a device: {error!r}") from error
        self._line = 1

    @property
    def finished(self) -> bool:
        """Whether all of the recording was played."""
        return self._line == len(self._entries)

    def allocate(self, shape: int | tuple[int, ...], dtype: DTypeLike = np.uint8) -> Buffer:
        """A buffer at the address that it had then."""
        buffer = np.zeros(shape, dtype).view(_Hooked)
        buffer.device_address = address = self._next({"op": "allocate", "bytes": buffer.nbytes})["address"]
        if address % ALIGNMENT:
            raise DeviceError(f"{self._path}, line {self._line}: a buffer at {address:#x}, no multiple of {ALIGNMENT}")

        def flushed(written: Buffer) -> None:
            self._next({"op": "flush", "address": address, "crc32": zlib.crc32(written.data)})

        def invalidated(read: Buffer) -> None:
            data = self._next({"op": "invalidate", "address": address})["data"]
            if data is not None:
                flat = np.frombuffer(zlib.decompress(base64.b64decode(data)), read.dtype)
                read[...] = flat.reshape(read.shape)

        def freed() -> None:
            self._next({"op": "free", "address": address})

        buffer._flushed, buffer._invalidated, buffer._freed = flushed, invalidated, freed
        return buffer

    def read_register(self, name: str) -> int:
        """The value that was read then."""
        return self._next({"op": "read", "name": name})["value"]

    def write_register(self, name: str, value: int) -> None:
        """Must be what was written then."""
        self._next({"op": "write", "name": name, "value": int(value)})

    def until_done(self, *, deadline_seconds: float, deadline_cycles: int | None,
                   progress: Callable[[int], None] | None) -> None:
        """Over at once, as it ended then."""
        if (timeout := self._next({"op": "wait"})["timeout"]) is not None:
            raise DeviceTimeout(timeout)

    def close(self) -> None:
        """Must come where it came then."""
        self._next({"op": "close"})

    def _next(self, wanted: Entry) -> Entry:
        entry = self._entries[self._line] if self._line < len(self._entries) else {"op": "nothing more"}
        self._line += 1
        if wanted.items() <= entry.items():
            return entry
        then = {name: value for name, value in entry.items() if name != "data"}
        raise DeviceError(f"{self._path}, line {self._line}: the host did {wanted}, but the recording has {then}")
