"""Runs in the simulator: what stands around a unit benched alone - memories, a write port, a recorder.

Each model is a coroutine for `cocotb.start_soon`; it ends with the test.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from terntable.hw.row_table import ROW_FIELDS

__all__ = ["Recorder", "acknowledge", "beats_of", "pulse", "serve", "table_word", "writes_of"]


class Recorder:
    """The values of some ports in each cycle, from the start of :meth:`run` on."""

    def __init__(self, dut: Any, name: str, ports: Sequence[str]):
        self.edge = RisingEdge(getattr(dut, f"{name}_clk"))
        self.pins = {port: getattr(dut, f"{name}__{port}") for port in ports}
        self.seen: dict[str, list[int]] = {port: [] for port in ports}
        self.task = cocotb.start_soon(self.run())

    def __getitem__(self, port: str) -> list[int]:
        return self.seen[port]

    def cycles(self, port: str) -> list[int]:
        """Cycles in which a one-bit port was high."""
        return [now for now, value in enumerate(self.seen[port]) if value]

    def stop(self) -> None:
        self.task.cancel()

    async def run(self) -> None:
        while True:
            await ReadOnly()
            for port, pin in self.pins.items():
                self.seen[port].append(int(pin.value))
            await self.edge


async def serve(
    dut: Any,
    name: str,
    address: str,
    data: str,
    read: Callable[[int], int],
    enable: str | None = None,
    choice: str | None = None,
) -> None:
    """A memory's read port: `read(address)` appears at `data` a cycle later; without `enable` it holds.

    With `choice`, a port that selects the memory, `read` gets its value as second argument.
    """
    edge = RisingEdge(getattr(dut, f"{name}_clk"))
    pins = {port: getattr(dut, f"{name}__{port}") for port in (address, data, enable, choice) if port}
    while True:
        await ReadOnly()
        enabled = enable is None or int(pins[enable].value)
        extra = (int(pins[choice].value),) if choice else ()
        word = read(int(pins[address].value), *extra) if enabled else None
        await edge
        if word is not None:
            pins[data].value = word


async def acknowledge(dut: Any, name: str, request: str, beats: str = "o", delay: int = 3) -> None:
    """`write_idle` of a write port: low from an accepted request until `delay` cycles after its last beat."""
    edge = RisingEdge(getattr(dut, f"{name}_clk"))
    idle = getattr(dut, f"{name}__write_idle")
    pins = {
        (stream, part): getattr(dut, f"{name}__{stream}__{part}")
        for stream in (request, beats)
        for part in ("valid", "ready", "payload")
    }
    left = quiet = 0
    while True:
        idle.value = int(not left and not quiet)
        await ReadOnly()
        asked = int(pins[request, "valid"].value) and int(pins[request, "ready"].value)
        moved = int(pins[beats, "valid"].value) and int(pins[beats, "ready"].value)
        count = int(pins[request, "payload"].value) >> 64 if asked else 0
        quiet = max(0, quiet - 1)
        if moved:
            assert left + count, f"{name}: a beat that no request wanted"
        left += count - bool(moved)
        if moved and not left:
            quiet = delay
        await edge


def writes_of(requests: Sequence[int], beats: Sequence[int], beat_bytes: int) -> Mapping[int, bytes]:
    """Bytes of each request by its address; requests and beats as accepted, in order."""
    written, at = {}, 0
    for request in requests:
        address, count = request & ((1 << 64) - 1), request >> 64
        assert address not in written, f"{address:#x} is written twice"
        written[address] = b"".join(beat.to_bytes(beat_bytes, "little") for beat in beats[at : at + count])
        at += count
    assert at == len(beats), f"{len(beats)} beats for requests of {at}"
    return written


def table_word(records: np.ndarray) -> int:
    """The registers of a table as one word."""
    word, at = 0, 0
    for record in records:
        for name, width in ROW_FIELDS:
            word |= (int(record[name]) & ((1 << width) - 1)) << at
            at += width
    return word


def beats_of(raw: bytes, beat_bytes: int, filler: int = 0xA5) -> list[int]:
    """Whole beats; what lies past the end in memory is `filler`."""
    raw += bytes([filler]) * (-len(raw) % beat_bytes)
    return [int.from_bytes(raw[at : at + beat_bytes], "little") for at in range(0, len(raw), beat_bytes)]


async def pulse(dut, name: str, port: str) -> None:
    getattr(dut, f"{name}__{port}").value = 1
    await RisingEdge(getattr(dut, f"{name}_clk"))
    getattr(dut, f"{name}__{port}").value = 0
