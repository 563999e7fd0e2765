"""What each notebook begins with: a board, or a simulated one on a PC, so that the same cells run on both."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from terntable.host.board.overlays import find_bitstream
from terntable.host.board.simulated import write_simulation_overlay
from terntable.host.errors import InputError
from terntable.hw.spec.config import preset

__all__ = ["board_or_simulation"]

#: Contiguous memory of the simulated board: room for the shipped model.
MEMORY = 1 << 26


@contextmanager
def board_or_simulation(bitfile: Path | str | None = None, *, preset_name: str = "tiny", memory_bytes: int = MEMORY,
                        progress: Callable[[str], None] | None = None) -> Iterator[Path]:
    """Give the bitstream that `Session.open("pynq", bitfile=...)` takes.

    Parameters
    ----------
    bitfile : of a board, a path or a name in `terntable.host.board.overlays`. None makes the Verilated accelerator of the preset
        PYNQ's active device until the context ends, and gives a stand-in.
    preset_name, memory_bytes : of the simulated board.
    progress : called with a sentence at each step of building the simulator.

    Raises
    ------
    InputError
        There is no such bitstream or preset, or the simulator is not installed.

    """
    if bitfile is not None:
        yield find_bitstream(bitfile)
        return
    try:
        config = preset(preset_name)
        from terntable.sim.pynq_device import SimulatedBoard
    except ValueError as error:
        raise InputError(str(error)) from error
    except ImportError as error:
        raise InputError(f"A simulated board needs {error.name}, which is not installed: pip install 'terntable[sim,pynq]' on an "
                         "x86-64 PC. On a board, name its bitstream") from error
    with tempfile.TemporaryDirectory(prefix="terntable-") as folder:
        board = SimulatedBoard(config, memory_bytes=memory_bytes, progress=progress)
        with board.active():
            yield write_simulation_overlay(Path(folder), config)
