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
}
DEVICES = MACHINES | {"torch": "the checkpoint itself in transformers, the reference above both"}


def open_device(name: str, config: HardwareConfig, *, memory_bytes: int,
                progress: Callable[[str], None] | None = None,
                trace: Path | None = None, **timing: Any) -> Device:
    """Open the accelerator called `name`; `progress`, `trace` and `timing` are for the simulator."""
    if name == "golden":
        from terntable.host.devices.golden import GoldenDevice

        return GoldenDevice(config, memory_bytes=memory_bytes)
    if name == "sim":
        # Loading Verilator's bindings costs time that other devices need not pay.
        from terntable.host.devices.simulator import SimulatorDevice

        return SimulatorDevice(config, memory_bytes=memory_bytes, progress=progress, trace=trace, **timing)
    raise InputError(f"Unknown device {name!r}; known: {', '.join(MACHINES)}")
