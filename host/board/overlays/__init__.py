"""The folder in which PYNQ looks for Terntable's bitstreams. It holds none: each is made with Vivado, which nobody has done yet.

In a checkout on a PC that has Vivado, ``make bitstream BOARD=kv260`` writes ``build/kv260/terntable_kv260.bit`` and its ``.hwh``.
Both copied into this folder, on the board or before `make wheel`, are found from anywhere: `pynq.Overlay("terntable_kv260.bit")`.
"""

from pathlib import Path

from terntable.host.board.boards import BOARDS
from terntable.host.errors import InputError

__all__ = ["FOLDER", "find_bitstream"]

FOLDER = Path(__file__).parent


def find_bitstream(name: Path | str) -> Path:
    """The bitstream at a path, or of that name in this folder; InputError says how to make one."""
    path = Path(name)
    for found in (path, FOLDER / path):
        if found.is_file():
            return found
    raise InputError(f"There is no bitstream at {path}, nor in {FOLDER}. None comes with Terntable: on a PC with Vivado, `make "
                     f"bitstream BOARD=NAME` makes it ({', '.join(sorted(BOARDS))}); copy the .bit and the .hwh here")
