"""A shorter way through Amaranth's writer of RTLIL: large memories that start as zeros, and the garbage collector."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from amaranth.back.rtlil import ModuleEmitter  # type: ignore[attr-defined]

__all__ = ["brief"]


@contextmanager
def brief() -> Iterator[None]:
    """Within it, contents of memories that are all zero are left out of the text, which says them bit by bit, and the design
    has many millions. What reads the text has to start such memories at zero, as an FPGA does.
    """
    whole, enabled = ModuleEmitter.emit_memory, gc.isenabled()

    def emit_memory(self, cell_idx, cell) -> None:
        if any(cell.init):
            whole(self, cell_idx, cell)

    ModuleEmitter.emit_memory = emit_memory
    # The collector looks again and again at millions of objects that stay: a third of the time.
    gc.disable()
    try:
        yield
    finally:
        ModuleEmitter.emit_memory = whole
        if enabled:
            gc.enable()
