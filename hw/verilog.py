"""Verilog of a component or of the whole accelerator.

``python -m terntable.hw.verilog --preset tiny -o build/terntable_tiny.v``
"""

import argparse
import re
from pathlib import Path

from amaranth.back import verilog
from amaranth.lib import wiring

from terntable.hw.emission import brief
from terntable.hw.spec.config import PRESETS, HardwareConfig, preset

__all__ = ["TOP", "convert", "emit", "main", "top"]

#: Name of the accelerator's Verilog module.
TOP = "terntable"

#: A memory whose contents the text does not say.
_MEMORY = re.compile(r"^  reg (\[(\d+):0\]) (\S+) +\[(\d+):0\];\n(?!  initial)", re.MULTILINE)

#: A signal without bits, which nothing can refer to and Verilog does not know.
_EMPTY = re.compile(r"^  (?:wire|reg) \[-1:0\] .*;\n", re.MULTILINE)


def _cleared(match: re.Match[str]) -> str:
    name = match[3]
    index = f"clear_{name.lstrip(chr(92))}".replace(".", "_").replace("$", "_")
    # A name with a backslash ends with a space.
    memory = f"{name} " if name.startswith("\\") else name
    return f"{match[0]}  integer {index};\n  initial for ({index} = 0; {index} <= {match[4]}; {index} = {index} + 1) " \
           f"{memory}[{index}] = {int(match[2]) + 1}'h0;\n"


def convert(component: wiring.Component, name: str, *, clear: bool = True) -> str:
    """Verilog text with the top module `name`. The clock is `clk`, the active-high synchronous reset `rst`.

    Memories that start as zeros are cleared by a loop, or with `clear` False have no contents in the text. So they do start as
    zeros on an FPGA, and UltraRAM can be no other than that: it takes no contents.
    """
    with brief():
        text = verilog.convert(component, name=name, emit_src=False, strip_internal_attrs=True)
    return _EMPTY.sub("", _MEMORY.sub(_cleared, text) if clear else text)


def emit(component: wiring.Component, name: str, path: Path) -> None:
    """Write the Verilog of `component` to `path`; folders are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(convert(component, name))


def top(config: HardwareConfig, *, clear: bool = True) -> str:
    """Verilog text of the accelerator, module ``terntable``; `clear` as in `convert`."""
    # Other components are converted without the whole machine.
    from terntable.hw.accelerator import Accelerator

    return convert(Accelerator(config), TOP, clear=clear)


def main(arguments: list[str] | None = None) -> None:
    """Command line: write the Verilog of a preset."""
    parser = argparse.ArgumentParser(prog="python -m terntable.hw.verilog", description=main.__doc__)
    parser.add_argument("--preset", default="tiny", choices=sorted(PRESETS))
    parser.add_argument("-o", "--output", type=Path, help="default: build/terntable_<preset>.v")
    options = parser.parse_args(arguments)
    path = options.output or Path("build") / f"terntable_{options.preset}.v"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(top(preset(options.preset)))
    print(path)


if __name__ == "__main__":
    main()
