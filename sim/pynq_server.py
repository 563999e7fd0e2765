"""Plays a board for PYNQ.remote: any notebook on the network can drive the simulated accelerator.

``python -m terntable.sim.pynq_server --preset nano``, and elsewhere ``PYNQ_REMOTE_DEVICES=<address> python ...``
"""

import argparse
import uuid
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import numpy as np
from pynq.remote import (
    buffer_pb2,
    buffer_pb2_grpc,
    gpio_pb2_grpc,
    mmio_pb2,
    mmio_pb2_grpc,
    remote_device_pb2,
    remote_device_pb2_grpc,
)

from terntable.hw.spec.config import PRESETS, HardwareConfig, preset
from terntable.hw.spec.ip import REGISTER_BASE
from terntable.sim.board_bus import BoardBus, ContiguousMemory
from terntable.sim.errors import SimulatorError
from terntable.sim.simulator import Simulator

__all__ = ["PORT", "PynqServer", "main"]

#: Where PYNQ.remote looks.
PORT = 7967

#: Bytes of a message of a stream.
CHUNK = 2 << 20


class PynqServer:
    """A board on the network, with the accelerator in its fabric whatever bitstream is written to it. Use it as a context.

    Parameters
    ----------
    config : the instance.
    memory_bytes : what the board has for contiguous buffers.
    address : of this machine, to listen at.
    timing : of the memory, as :class:`terntable.sim.memory_timing.MemoryTiming`.

    """

    def __init__(self, config: HardwareConfig, *, memory_bytes: int, address: str = "127.0.0.1", **timing: Any) -> None:
        self.bus = BoardBus(Simulator.open(config, memory_bytes, **timing))
        self.bus.core = REGISTER_BASE
        self.contiguous = ContiguousMemory(self.bus.simulator.memory, self.bus.simulator.base)
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        remote_device_pb2_grpc.add_RemoteDeviceServicer_to_server(_Files(memory_bytes), self._server)
        mmio_pb2_grpc.add_MmioServicer_to_server(_Mmio(self.bus), self._server)
        buffer_pb2_grpc.add_RemoteBufferServicer_to_server(_Buffers(self.contiguous), self._server)
        gpio_pb2_grpc.add_GpioServicer_to_server(gpio_pb2_grpc.GpioServicer(), self._server)
        if not self._server.add_insecure_port(f"{address}:{PORT}"):
            raise SimulatorError(f"Port {PORT} of {address} cannot be listened at")

    def __enter__(self) -> "PynqServer":
        self._server.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.stop(0).wait()
        self.bus.simulator.close()

    def wait(self) -> None:
        """Serve for ever."""
        self._server.wait_for_termination()


class _Files(remote_device_pb2_grpc.RemoteDeviceServicer):
    """Files that tell PYNQ what machine this is, and those that it writes."""

    def __init__(self, memory_bytes: int) -> None:
        free = memory_bytes >> 10
        self._files = {
            "/proc/version": b"Linux version 6.6 (simulated) aarch64", "/proc/device-tree/chosen/pynq_board": b"simulated",
            "/proc/meminfo": f"CmaTotal: {free} kB\nCmaFree: {free} kB\n".encode(),
            "/sys/class/fpga_manager/fpga0/state": b"operating", "/sys/class/fpga_manager/fpga0/flags": b"0"}

    def existsfile(self, request: Any, context: Any) -> Any:
        return remote_device_pb2.ExistsFileResponse(exists=request.file_path in self._files)

    def readfile(self, request: Any, context: Any) -> Iterator[Any]:
        yield remote_device_pb2.ReadFileResponse(data=self._files.get(request.file_path, b""))

    def writefile(self, requests: Any, context: Any) -> Any:
        written: dict[str, bytes] = {}
        for request in requests:
            written[request.file_path] = written.get(request.file_path, b"") + request.data
        self._files |= written
        return remote_device_pb2.WriteFileResponse()

    def set_bitstream_attrs(self, request: Any, context: Any) -> Any:
        return remote_device_pb2.SetBitstreamAttrsResponse(status=True)


class _Mmio(mmio_pb2_grpc.MmioServicer):
    """Registers by address."""

    def __init__(self, bus: BoardBus) -> None:
        self._bus = bus
        self._bases: dict[str, int] = {}

    def get_mmio(self, request: Any, context: Any) -> Any:
        name = uuid.uuid4().hex
        self._bases[name] = request.base_addr
        return mmio_pb2.GetMmioResponse(status=True, mmio_id=name)

    def read(self, request: Any, context: Any) -> Any:
        try:
            return mmio_pb2.ReadResponse(status=True, data=self._bus.read(self._bases[request.mmio_id] + request.offset))
        except SimulatorError as error:
            return mmio_pb2.ReadResponse(msg=str(error))

    def write(self, request: Any, context: Any) -> Any:
        base = self._bases[request.mmio_id] + request.offset
        try:
            for n in range(0, len(request.data), 4):
                self._bus.write(base + n, int.from_bytes(request.data[n:n + 4], "little"))
        except SimulatorError as error:
            return mmio_pb2.WriteResponse(msg=str(error))
        return mmio_pb2.WriteResponse(status=True)


class _Buffers(buffer_pb2_grpc.RemoteBufferServicer):
    """Buffers by name: the board's copy of each, and the memory behind it."""

    def __init__(self, memory: ContiguousMemory) -> None:
        self._memory = memory
        self._buffers: dict[str, tuple[int, Any]] = {}

    def allocate(self, request: Any, context: Any) -> Any:
        try:
            address = self._memory.allocate(request.size)
        except MemoryError as error:
            return buffer_pb2.AllocateResponse(msg=str(error))
        name = uuid.uuid4().hex
        self._buffers[name] = address, np.zeros(request.size, np.uint8)
        return buffer_pb2.AllocateResponse(buffer_id=name)

    def write(self, requests: Any, context: Any) -> Any:
        place = 0
        for request in requests:
            _, cached = self._buffers[request.buffer_id]
            cached[place:place + len(request.data)] = np.frombuffer(request.data, np.uint8)
            place += len(request.data)
        return buffer_pb2.BufferWriteResponse()

    def read(self, request: Any, context: Any) -> Iterator[Any]:
        _, cached = self._buffers[request.buffer_id]
        for start in range(0, len(cached), CHUNK):
            yield buffer_pb2.BufferReadResponse(data=cached[start:start + CHUNK].tobytes())

    def flush(self, request: Any, context: Any) -> Any:
        self._memory.flush(*self._buffers[request.buffer_id])
        return buffer_pb2.FlushResponse()

    def invalidate(self, request: Any, context: Any) -> Any:
        self._memory.invalidate(*self._buffers[request.buffer_id])
        return buffer_pb2.InvalidateResponse()

    def physical_address(self, request: Any, context: Any) -> Any:
        if request.buffer_id not in self._buffers:
            return buffer_pb2.AddressResponse(msg="There is no such buffer")
        return buffer_pb2.AddressResponse(address=self._buffers[request.buffer_id][0])

    def freebuffer(self, request: Any, context: Any) -> Any:
        address, _ = self._buffers.pop(request.buffer_id, (0, None))
        self._memory.free(address)
        return buffer_pb2.FreeBufferResponse()


def main(arguments: list[str] | None = None) -> None:
    """Command line: serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m terntable.sim.pynq_server", description="A simulated board for PYNQ.remote.")
    parser.add_argument("--preset", default="tiny", choices=sorted(PRESETS))
    parser.add_argument("--memory", type=int, default=256, metavar="MIB", help="contiguous memory, MiB (256)")
    parser.add_argument("--address", default="127.0.0.1", help="to listen at (127.0.0.1)")
    options = parser.parse_args(arguments)
    with PynqServer(preset(options.preset), memory_bytes=options.memory << 20, address=options.address) as server:
        print(f"Listening at {options.address}:{PORT}", flush=True)
        try:
            server.wait()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
