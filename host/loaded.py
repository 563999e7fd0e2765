"""A compiled program in device memory, shared by the sessions that run it."""

import zlib
from collections.abc import Callable

from terntable.host.device import Device
from terntable.host.errors import DeviceError, SessionError
from terntable.host.memory import ALIGNMENT
from terntable.host.pass_parts import PassParts
from terntable.host.program import DEVICE_PARTS, Program
from terntable.host.states import LAST, StateLayout, every_layer
from terntable.hw.spec.layout import result_stride, round_up
from terntable.hw.spec.program import ROW_BYTES

__all__ = ["LoadedProgram", "memory_needed"]


def memory_needed(program: Program, *, sessions: int = 1, states: bool = False) -> int:
    """Bytes of device memory that a program and its sessions take, with the gaps between buffers.

    `states` is whether there shall be room for the states of layers, and for the programs of parts of a pass.
    """
    config, cache = program.config, program.kv.total_bytes
    own = [cache, config.rows * ROW_BYTES, config.rows * result_stride(config), config.rows * program.logits_stride,
           config.rows * round_up(4 * program.shape.hidden, config.beat_bytes)]
    if states:
        # More layers than before may find no room where the states of fewer were.
        own += [StateLayout(PassParts(program), layers).total_bytes for layers in ([LAST], every_layer(program))]
        own += [program.program.size + ALIGNMENT] * (program.shape.layers + 2)
    shared = [getattr(program, part).size for part in DEVICE_PARTS]
    return sum(round_up(size, ALIGNMENT) for size in [*shared, *own * sessions]) + 2 * ALIGNMENT


class LoadedProgram:
    """Copies a program to a device.

    Parameters
    ----------
    device, program : must be of the same configuration, else SessionError.
    progress : called with a sentence for each part.

    Raises
    ------
    DeviceError
        Memory is used up, or a part that was read back has another checksum.

    Attributes
    ----------
    address : device address of each of `DEVICE_PARTS`.

    """

    def __init__(self, device: Device, program: Program, *,
                 progress: Callable[[str], None] | None = None) -> None:
        if device.config != program.config:
            raise SessionError(f"The program is compiled for {program.config.name}, but device {device.name} "
                               f"is a {device.config.name} with other parameters")
        self.device, self.program = device, program
        self._buffers = {}
        try:
            for part in DEVICE_PARTS:
                data = getattr(program, part)
                if progress is not None:
                    progress(f"Loading {part}, {data.size:,} bytes")
                buffer = self._buffers[part] = device.allocate(data.size)
                buffer[:] = data
                buffer.flush()
                if device.reads_back:
                    buffer.invalidate()
                    wrote, read = zlib.crc32(data.data), zlib.crc32(buffer.data)
                    if wrote != read:
                        raise DeviceError(f"{part} was loaded with checksum {wrote:#010x}, but reads back with {read:#010x}: the "
                                          f"memory of device {device.name} is not what it was given")
        except BaseException:
            self.free()
            raise
        self.address = {part: buffer.device_address for part, buffer in self._buffers.items()}

    def free(self) -> None:
        """Give the memory back; sessions of it can no longer run."""
        for buffer in self._buffers.values():
            buffer.freebuffer()
