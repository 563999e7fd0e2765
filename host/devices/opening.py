"""Devices by the name that the command line gives them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from terntable.host.device import Device
from terntable.host.errors import InputError
from terntable.hw.spec.config import HardwareConfig

__all__ = ["DEVICES", "MACHINES", "open_device"]

#: Devices that run compiled programs.
MACHINES = {
    "golden": "the bit-exact NumPy model of the accelerator",
    "sim": "the accelerator's RTL, Verilated, with memory behind its ports",
    "pynq": "the accelerator on a board, through PYNQ; needs --bitfile",
}
DEVICES = MACHINES | {"torch": "the checkpoint itself in transformers, the reference above all"}


def open_device(name: str, config: HardwareConfig, *, memory_bytes: int,
                progress: Callable[[str], None] | None = None,
                trace: Path | None = None, **options: Any) -> Device:
    """Open the accelerator called `name`; `trace` is for the simulator.

    `options` are the memory's timing for the simulator, and `bitfile` with the rest of
    :class:`terntable.host.devices.pynq_board.PynqDevice` for a board.
    """
    if name == "golden":
        from terntable.host.devices.golden import GoldenDevice

        return GoldenDevice(config, memory_bytes=memory_bytes)
    if name == "sim":
        # Loading Verilator's bindings costs time that other devices need not pay.
        from terntable.host.devices.simulator import SimulatorDevice

        return SimulatorDevice(config, memory_bytes=memory_bytes, progress=progress, trace=trace, **options)
    if name == "pynq":
        if options.get("bitfile") is None:
            raise InputError("Device pynq needs the bitstream to load: --bitfile FILE")
        from terntable.host.devices.pynq_board import PynqDevice

        return PynqDevice(config, memory_bytes=memory_bytes, progress=progress, **options)
    raise InputError(f"Unknown device {name!r}; known: {', '.join(MACHINES)}")
