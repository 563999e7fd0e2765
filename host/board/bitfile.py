"""Which preset a bitstream was built from: by its name, or else by the geometry that its registers tell."""

import re
from pathlib import Path

from terntable.host.board.boards import BOARDS
from terntable.host.errors import InputError
from terntable.hw.spec.config import PRESETS
from terntable.hw.spec.registers import geometry_of

__all__ = ["preset_of"]


def preset_of(bitfile: Path | str | None) -> str:
    """Name of the preset. A file name such as ``terntable_kv260.bit`` says it; otherwise the bitstream is loaded to look.

    Raises
    ------
    InputError
        Several presets have that geometry, or none; the sentence lists them. Or no bitstream was named.
    DeviceError
        The bitstream cannot be loaded.

    """
    if bitfile is None:
        raise InputError("Device pynq needs the bitstream to load: --bitfile FILE")
    for word in reversed(re.split(r"[_.\s-]", Path(bitfile).stem)):
        if word in PRESETS:
            return word
        if word in BOARDS:
            return BOARDS[word].preset
    # Not everybody who asks by name has a board.
    from terntable.host.board.overlay import OpenedOverlay

    opened = OpenedOverlay(Path(bitfile))
    found = {name: opened.read(name) for name in geometry_of(next(iter(PRESETS.values())))}
    fitting = [name for name, config in PRESETS.items() if geometry_of(config) == found]
    if len(fitting) == 1:
        return fitting[0]
    text = ", ".join(f"{name} {value:#x}" for name, value in found.items())
    raise InputError(f"{bitfile} reads {text}, the geometry of {', '.join(fitting) or 'no preset'}: name one with --preset")
