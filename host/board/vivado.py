"""Runs Vivado on a written project."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from terntable.host.board.boards import Board
from terntable.host.board.build_tcl import PROGRESS, SLACK, products
from terntable.host.errors import InputError

__all__ = ["build", "find"]


def find(folder: Path, board: Board) -> Path:
    """The program; InputError says what is missing, and what to do with the project in `folder`."""
    found = shutil.which("vivado")
    if found is None:
        raise InputError(
            f"Vivado is not on PATH, so there is no bitstream; source settings64.sh of an installation with "
            f"{board.part.split('-')[0]} and the board files of {board.title}. The project is in {folder}: "
            f"vivado -mode batch -source {folder / 'build.tcl'}")
    return Path(found)


def build(vivado: Path, folder: Path, board: Board, tell: Callable[[str], None]) -> float:
    """Make the bitstream, which takes hours, and give the worst slack in ns; `tell` hears of each step.

    InputError if Vivado fails, with its first error; ``vivado.log`` in the folder has the rest.
    """
    for name in products(board):
        (folder / name).unlink(missing_ok=True)
    errors, slack = [], None
    with subprocess.Popen([vivado, "-mode", "batch", "-nojournal", "-log", "vivado.log", "-source", "build.tcl"], cwd=folder,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(SLACK):
                slack = float(line.removeprefix(SLACK))
            elif line.startswith(PROGRESS):
                tell(line.removeprefix(PROGRESS).strip())
            elif line.startswith("ERROR"):
                errors.append(line.strip())
    missing = [name for name in products(board) if not (folder / name).exists()]
    if process.returncode or missing or slack is None:
        why = errors[0] if errors else f"{', '.join(missing)} missing" if missing else "no timing was reported"
        raise InputError(f"Vivado ended with status {process.returncode}: {why}; see {folder / 'vivado.log'}")
    return slack
