"""Looks over a board: each thing that stops the accelerator, or silently slows it, with what to do about it."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terntable.host.board.bitfile import preset_of
from terntable.host.board.clock import TOLERANCE, read_clock
from terntable.host.board.contiguous import contiguous_memory
from terntable.host.board.overlay import OpenedOverlay, import_pynq
from terntable.host.board.power import find_sensor
from terntable.host.errors import DeviceError, InputError
from terntable.hw.spec.config import preset
from terntable.hw.spec.registers import IDENT, VERSION, geometry_of

__all__ = ["BAD", "GOOD", "UNKNOWN", "WARNING", "Finding", "examine", "is_board"]

GOOD, WARNING, BAD, UNKNOWN = "good", "warning", "bad", "unknown"

#: Contiguous memory that Linux images for these boards set aside, and what a model of 0.7 billion weights needs at least.
_USUAL_NEED = 512 << 20
#: What a board starts with, and what PYNQ sets where a handoff says nothing.
_STARTING_MHZ = 100.0


@dataclass(frozen=True)
class Finding:
    """One check: its name, how it stands, what was found, and what to do; nothing to do is an empty text."""

    name: str
    state: str
    found: str
    advice: str = ""


def is_board(root: Path = Path("/")) -> bool:
    """Whether this is an FPGA board that Linux can configure, or PYNQ has been told of one on the network."""
    return bool(os.environ.get("PYNQ_REMOTE_DEVICES")) or (root / "sys/class/fpga_manager/fpga0").exists()


def examine(*, bitfile: Path | None = None, preset_name: str | None = None, needed: int | None = None,
            root: Path = Path("/")) -> list[Finding]:
    """All findings, in the order in which to mend them.

    Parameters
    ----------
    bitfile : loaded and questioned, if given.
    preset_name : of the bitstream, if its name does not say it.
    needed : bytes of contiguous memory that a model takes.
    root : where /proc and /sys are.

    """
    findings = [_machine(root), *_pynq(), _privileges(), _memory(root, needed)]
    if bitfile is not None:
        findings += _bitstream(bitfile, preset_name)
    else:
        findings.append(_clock())
    return [*findings, _governor(root), _load(root), _power(root)]


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip("\0\n ")
    except OSError:
        return None


def _machine(root: Path) -> Finding:
    model = _text(root / "proc/device-tree/model") or platform.machine()
    if (root / "sys/class/fpga_manager/fpga0").exists():
        return Finding("machine", GOOD, model)
    if address := os.environ.get("PYNQ_REMOTE_DEVICES"):
        return Finding("machine", GOOD, f"{model}, with a board at {address}")
    return Finding("machine", BAD, f"{model}: there is no FPGA that Linux can configure, so this is no board",
                   "run this on the board, or set PYNQ_REMOTE_DEVICES to its address")


def _pynq() -> list[Finding]:
    try:
        pynq = import_pynq()
    except DeviceError as error:
        return [Finding("pynq", BAD, str(error), "use the Python of the board's PYNQ image, as root: sudo -i")]
    release = str(pynq.__version__)
    old = int(release.split(".")[0]) < 3
    found = [Finding("pynq", BAD if old else GOOD, release, "PYNQ 3.0 or later is needed: take a newer image" if old else "")]
    try:
        device = OpenedOverlay.find_device(pynq)
    except DeviceError as error:
        return [*found, Finding("device", BAD, str(error), "sudo -i, which also sets the environment of XRT")]
    return [*found, Finding("device", GOOD, f"{device.name} ({type(device).__name__})")]


def _privileges() -> Finding:
    if os.environ.get("PYNQ_REMOTE_DEVICES") or os.geteuid() == 0:
        return Finding("privileges", GOOD, "enough")
    return Finding("privileges", BAD, "not root, whom registers are for", "sudo -i")


def _memory(root: Path, needed: int | None) -> Finding:
    memory = contiguous_memory(_text(root / "proc/meminfo") or "")
    if memory is None:
        return Finding("contiguous memory", UNKNOWN, "Linux tells of none (CmaTotal in /proc/meminfo)", "boot with cma=1024M")
    total, free = memory
    text = f"{total >> 20:,} MiB, {free >> 20:,} MiB of it free"
    wanted = needed if needed is not None else _USUAL_NEED
    what = f"the model needs {-(-wanted >> 20):,} MiB" if needed is not None else "a model of 0.7 billion weights needs 512 MiB"
    megabytes = -(-wanted * 5 // 4 // (128 << 20)) * 128
    if total < wanted:
        return Finding("contiguous memory", BAD if needed is not None else WARNING, f"{text}; {what}",
                       f"add cma={megabytes}M to the kernel's command line, see docs/board.md")
    if free < wanted:
        return Finding("contiguous memory", WARNING, f"{text}; {what}", "close other overlays and notebooks, or reboot")
    return Finding("contiguous memory", GOOD, text)


def _clock() -> Finding:
    try:
        megahertz = float(import_pynq().Clocks.fclk0_mhz)
    except Exception as error:
        # PYNQ has no common class for what a missing board leads to.
        return Finding("fabric clock", UNKNOWN, f"cannot be read ({error})", "name a bitstream with --bitfile on a board")
    if abs(megahertz - _STARTING_MHZ) < 1:
        return Finding("fabric clock", WARNING, f"{megahertz:g} MHz, which is what boards start with",
                       "nothing if no bitstream is loaded yet; else load it through terntable, which sets the clock")
    return Finding("fabric clock", GOOD, f"{megahertz:g} MHz")


def _bitstream(bitfile: Path, preset_name: str | None) -> list[Finding]:
    try:
        opened = OpenedOverlay(bitfile)
        config = preset(preset_name or preset_of(bitfile))
        for name, wanted in {"ident": IDENT, "version": VERSION, **geometry_of(config)}.items():
            if (value := opened.read(name)) != wanted:
                text = f"{bitfile} reads {name} {value:#x}, but preset {config.name} of this version has {wanted:#x}"
                return [Finding("bitstream", BAD, text, "build the bitstream with this version, or install the one it is of")]
        hertz = read_clock(opened)
    except (DeviceError, InputError, ValueError) as error:
        return [Finding("bitstream", BAD, str(error), "take a .bit and its .hwh from the same build")]
    findings = [Finding("bitstream", GOOD, f"version {VERSION}, preset {config.name}")]
    if hertz is None:
        return [*findings, Finding("fabric clock", UNKNOWN, "the handoff does not say what drives the core")]
    slow = abs(hertz - config.clock_hz) > TOLERANCE * config.clock_hz
    advice = f"the preset has {config.clock_hz / 1e6:g} MHz: terntable sets it; if that fails, use --clock-mhz" if slow else ""
    return [*findings, Finding("fabric clock", WARNING if slow else GOOD, f"{hertz / 1e6:g} MHz", advice)]


def _governor(root: Path) -> Finding:
    files = sorted((root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor"))
    found: set[Any] = {_text(file) for file in files} - {None}
    if not found:
        return Finding("CPU governor", UNKNOWN, "Linux does not change the CPU's clock, or does not tell")
    if found == {"performance"}:
        return Finding("CPU governor", GOOD, "performance")
    return Finding("CPU governor", WARNING, f"{', '.join(sorted(found))}: the host's share of a token varies",
                   "echo performance | tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor")


def _load(root: Path) -> Finding:
    try:
        load = float((_text(root / "proc/loadavg") or "").split()[0])
    except (IndexError, ValueError):
        return Finding("CPU noise", UNKNOWN, "Linux does not tell its load")
    if load > 0.5:
        return Finding("CPU noise", WARNING, f"a load of {load:g} while the accelerator is idle takes memory's time",
                       "look with top; close notebooks, and stop the desktop: systemctl isolate multi-user.target")
    return Finding("CPU noise", GOOD, f"a load of {load:g}")


def _power(root: Path) -> Finding:
    sensor = find_sensor(root / "sys/class/hwmon")
    if sensor is None:
        return Finding("power sensor", WARNING, "none of the INA kind in hwmon, so no energy is measured", "modprobe ina2xx")
    try:
        return Finding("power sensor", GOOD, f"{sensor.name}, {sensor.watts():.2f} W now")
    except DeviceError as error:
        return Finding("power sensor", WARNING, str(error), "modprobe -r ina2xx; modprobe ina2xx")
