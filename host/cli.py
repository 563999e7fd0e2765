"""The command line, `terntable`."""

import io
import os
import sys
import warnings
from collections.abc import Sequence

from terntable.host.arguments import Parser, say
from terntable.host.checked import Mismatch
from terntable.host.commands import (
    bench,
    compare,
    compile,
    doctor,
    explore,
    generate,
    info,
    methods,
    project,
    resources,
    timing,
    verify_device,
)
from terntable.host.errors import DeviceError, InputError
from terntable.host.program import ProgramError
from terntable.quant.checkpoint import CheckpointError
from terntable.sim.errors import SimulatorError, SynthesisError

__all__ = ["main"]

#: What a shell expects of a program that the keyboard, or a closed pipe, ended.
INTERRUPTED, PIPE_CLOSED = 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit status.

    0 when all went well, 1 when a device differs from the golden model, 2 for wrong input or a missing tool,
    130 when interrupted. Every failure is one line on stderr.
    """
    parser = Parser(prog="terntable", description="Ternary language models on small FPGAs by table lookup.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for command in (generate, methods, compare, compile, info, verify_device, bench, resources, timing, explore, project, doctor):
        command.add_parser(commands)
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    name = f"terntable {arguments.command}"
    # Models of the machine ask components for their latencies and do not build them, which Amaranth takes for a mistake.
    warnings.filterwarnings("ignore", r"<terntable\..* created but never used")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A terminal that is not UTF-8 shows what it can.
        sys.stdout.reconfigure(errors="replace")
    try:
        return arguments.run(arguments)
    except Mismatch as difference:
        say(f"{name}: {difference}")
        return 1
    except (InputError, CheckpointError, ProgramError, DeviceError, SimulatorError, SynthesisError) as error:
        say(f"{name}: {error}")
        return 2
    except KeyboardInterrupt:
        say(f"{name}: interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The interpreter would complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except OSError as error:
        say(f"{name}: {error}")
        return 2
    except MemoryError as error:
        say(f"{name}: the host's memory is too small: {error}")
        return 2


if __name__ == "__main__":
    sys.exit(main())
