"""`terntable doctor`: looks over a board and says what to mend."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from terntable.host.arguments import chosen_preset, say
from terntable.host.board.bitfile import preset_of
from terntable.host.board.health import BAD, GOOD, Finding, examine, is_board
from terntable.host.loaded import memory_needed
from terntable.host.models import load_program

__all__ = ["MEND", "NO_BOARD", "READY", "add_parser", "run"]

#: Exit statuses; 2 is wrong input, as of every command.
READY, MEND, NO_BOARD = 0, 1, 3


def add_parser(commands) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "doctor", help="check a board and say what to mend",
        description="Look over a board: PYNQ, device, contiguous memory, clock, bitstream, CPU, power sensor. Status 0: ready; "
                    "1: something must be mended; 2: wrong input; 3: there is no board here.")
    parser.add_argument("--bitfile", type=Path, metavar="FILE", help="load this bitstream and question it")
    parser.add_argument("--preset", help="of the bitstream, if its name does not say it")
    parser.add_argument("--model", help="also compare the memory with what this model needs")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand; the status says whether the board is ready."""
    if arguments.preset is not None:
        chosen_preset(arguments.preset)
    board = is_board()
    needed = None
    if arguments.model is not None:
        name = arguments.preset or (preset_of(arguments.bitfile) if arguments.bitfile is not None else None)
        needed = memory_needed(load_program(arguments.model, name, progress=say))
    findings = examine(bitfile=arguments.bitfile, preset_name=arguments.preset, needed=needed)
    status = NO_BOARD if not board else MEND if any(finding.state == BAD for finding in findings) else READY
    if arguments.json:
        print(json.dumps({"board": board, "ready": status == READY, "findings": [asdict(finding) for finding in findings]}))
    else:
        print(_text(findings, status))
    return status


def _text(findings: list[Finding], status: int) -> str:
    if status == NO_BOARD:
        return f"There is no board here: {findings[0].found}.\nTo go on: {findings[0].advice}."
    lines = []
    for finding in findings:
        lines.append(f"{finding.state:8s} {finding.name + ':':19s}{finding.found}")
        if finding.state != GOOD and finding.advice:
            lines.append(f"{'':28s}-> {finding.advice}")
    lines.append("Ready." if status == READY else "Mend what is bad, from the top.")
    return "\n".join(lines)
