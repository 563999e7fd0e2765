"""`terntable project`: the accelerator as a Vivado project for a board, and its bitstream."""

import argparse
from pathlib import Path

from terntable.host.arguments import chosen_preset, say
from terntable.host.board.boards import BOARDS, Board, board_of
from terntable.host.board.build_tcl import products
from terntable.host.board.project import write_project
from terntable.hw.spec.config import HardwareConfig

__all__ = ["add_parser", "run"]


def add_parser(commands) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "project", help="Vivado project for a board",
        description="Write the Verilog of a board's preset, Tcl that makes a bitstream of it, the handoff that simulations of the "
                    "board read, and its registers in several formats. None of it needs Vivado, except --bitstream.")
    parser.add_argument("--board", required=True, metavar="NAME", help=", ".join(BOARDS))
    parser.add_argument("--preset", help="hardware configuration instead of the board's own, see `terntable presets`")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder to write (build/<board>)")
    parser.add_argument("--bitstream", action="store_true", help="then run Vivado on it, for hours")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand."""
    board = board_of(arguments.board)
    config = chosen_preset(arguments.preset) if arguments.preset else board.config
    folder = arguments.output or Path("build") / board.name
    say(f"Writing {config.name} for {board.title}, which takes minutes for a large preset")
    for path in write_project(config, board, folder):
        print(path)
    if arguments.bitstream:
        _bitstream(config, board, folder)
    return 0


def _bitstream(config: HardwareConfig, board: Board, folder: Path) -> None:
    # What only the bitstream needs.
    from terntable.host.board.vivado import build, find

    slack = build(find(folder, board), folder, board, say)
    for name in products(board):
        print(folder / name)
    fastest = 1e3 / (1e9 / config.clock_hz - slack)
    met = "meets" if slack >= 0 else "does not meet"
    print(f"It {met} {config.clock_hz / 1e6:g} MHz: worst slack {slack:g} ns, so {fastest:.4g} MHz at most")
