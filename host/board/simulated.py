"""Files that stand for a bitstream where the board is simulated."""

from pathlib import Path

from terntable.host.board.hwh import simulation_hwh
from terntable.hw.spec.config import HardwareConfig

__all__ = ["write_simulation_overlay"]


def write_simulation_overlay(folder: Path, config: HardwareConfig) -> Path:
    """Write ``terntable_<preset>.bit``, whose contents are nothing, and its handoff into `folder`; the path of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    bitfile = folder / f"terntable_{config.name}.bit"
    bitfile.write_bytes(_nothing())
    bitfile.with_suffix(".hwh").write_text(simulation_hwh(config))
    return bitfile


def _nothing() -> bytes:
    """A bitstream with a header as PYNQ reads it, and no frames."""
    fields = b"".join(kind + len(text).to_bytes(2, "big") + text for kind, text in (
        (b"a", b"terntable;UserID=0XFFFFFFFF;Version=simulation\0"), (b"b", b"none\0"), (b"c", b"none\0"), (b"d", b"none\0")))
    return (9).to_bytes(2, "big") + bytes(9) + (1).to_bytes(2, "big") + fields + b"e" + (8).to_bytes(4, "big") + bytes(8)
