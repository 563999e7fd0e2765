"""Arguments that several subcommands share, and the parser that answers a mistake in one sentence."""

import argparse
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

from terntable.host.errors import InputError
from terntable.hw.spec.config import HardwareConfig, preset
from terntable.models.shapes import Geometry, parse_geometry

__all__ = ["Parser", "add_board_options", "add_ddr_option", "add_memory_options", "add_model_options", "board_options",
           "board_preset", "chosen_preset", "chosen_shape", "ddr_options", "memory_options", "say"]


class Parser(argparse.ArgumentParser):
    """Ends with status 2 and one sentence on a mistake."""

    def error(self, message: str) -> NoReturn:
        """One line, without the usage text, which -h gives."""
        self.exit(2, f"{self.prog}: {message}\n")


def say(text: str) -> None:
    """A line of progress, beside the output."""
    print(text, file=sys.stderr, flush=True)


def chosen_preset(name: str) -> HardwareConfig:
    """The hardware configuration called `name`; InputError lists the known ones."""
    try:
        return preset(name)
    except ValueError as error:
        raise InputError(str(error)) from error


def chosen_shape(text: str) -> Geometry:
    """The model's geometry that --shape names or spells out; InputError quotes what is wrong."""
    try:
        return parse_geometry(text)
    except ValueError as error:
        raise InputError(f"--shape: {error}") from error


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """--model, --device and --preset."""
    parser.add_argument("--model", default="kjv",
                        help="shipped name, Hugging Face directory, or compiled file (kjv)")
    parser.add_argument("--preset", help="hardware configuration, see `terntable presets` (tiny)")


def add_memory_options(parser: argparse.ArgumentParser) -> None:
    """Timing of the simulator's memory."""
    group = parser.add_argument_group("simulated memory")
    group.add_argument("--bandwidth", type=float, metavar="B",
                       help="beats per cycle of each port, above 0 and at most 1 (1)")
    group.add_argument("--latency", type=int, metavar="N",
                       help="cycles from a read's address to its first beat (40)")


def memory_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The timing options that were given, checked, as the simulator device takes them."""
    options: dict[str, Any] = {}
    if arguments.bandwidth is not None:
        if not 1 / 65536 <= arguments.bandwidth <= 1:
            raise InputError(f"--bandwidth must be 1/65536 to 1 beats per cycle, not {arguments.bandwidth}")
        options["bandwidth"] = arguments.bandwidth
    if arguments.latency is not None:
        if not 1 <= arguments.latency < 1 << 20:
            raise InputError(f"--latency must be 1 to {(1 << 20) - 1} cycles, not {arguments.latency}")
        options["read_latency"] = arguments.latency
    if options and arguments.device != "sim":
        raise InputError(f"--bandwidth and --latency are for device sim, not {arguments.device}")
    return options


def add_board_options(parser: argparse.ArgumentParser) -> None:
    """The bitstream of a board, and its clock."""
    group = parser.add_argument_group("board")
    group.add_argument("--bitfile", type=Path, metavar="FILE", help="bitstream to load, with its .hwh beside it (device pynq)")
    group.add_argument("--clock-mhz", type=float, metavar="F", help="clock of the fabric, when the preset's is too fast for it")


def board_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """What was said of the board, checked, as the device takes it; nothing for other devices."""
    if arguments.device != "pynq":
        if arguments.bitfile is not None or arguments.clock_mhz is not None:
            raise InputError(f"--bitfile and --clock-mhz are for device pynq, not {arguments.device}")
        return {}
    if arguments.clock_mhz is None:
        return {"bitfile": arguments.bitfile}
    if not 1 <= arguments.clock_mhz <= 1000:
        raise InputError(f"--clock-mhz must be 1 to 1000, not {arguments.clock_mhz:g}")
    return {"bitfile": arguments.bitfile, "clock_hz": round(arguments.clock_mhz * 1e6)}


def board_preset(arguments: argparse.Namespace) -> str | None:
    """The preset that was named, or else that of a board's bitstream, if it is one."""
    if arguments.preset is not None or arguments.device != "pynq":
        return arguments.preset
    from terntable.host.board.bitfile import preset_of

    return preset_of(arguments.bitfile)


def add_ddr_option(parser: argparse.ArgumentParser) -> None:
    """The memory by name."""
    parser.add_argument("--ddr", default="ddr", metavar="NAME",
                        help="memory: ddr (2133 MT/s), ddr-2400, flat-13.3 (any GB/s), or fixed latency and bandwidth (ddr)")


def ddr_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The timing of the memory that was named, as the simulator device takes it."""
    from terntable.sim.memory_timing import named_timing

    try:
        timing = named_timing(arguments.ddr)
    except ValueError as error:
        raise InputError(f"--ddr: {error}") from error
    return {field.name: getattr(timing, field.name) for field in fields(timing)}
