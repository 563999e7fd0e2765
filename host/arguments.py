"""Arguments that several subcommands share, and the parser that answers a mistake in one sentence."""

import argparse
import sys
from dataclasses import fields
from typing import Any, NoReturn

from terntable.host.errors import InputError
from terntable.hw.spec.config import HardwareConfig, preset

__all__ = ["Parser", "add_memory_options", "add_model_options", "chosen_preset", "memory_options", "say"]


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
