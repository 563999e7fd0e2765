"""Verilog of a component or of the whole accelerator.

``python -m terntable.hw.verilog --preset tiny -o build/terntable_tiny.v``
"""

import argparse
import gc
import re
from pathlib import Path

from amaranth.back import verilog
from amaranth.lib import wiring

from terntable.hw.spec.config import PRESETS, HardwareConfig, preset

__all__ = ["TOP", "convert", "emit", "main", "top"]

#: Name of the accelerator's Verilog module.
TOP = "terntable"

#: An `initial` block that does nothing but set rows 0, 1, 2 ... of one memory to zero.
_ZEROS = re.compile(r"^  initial begin\n((?:    (\S+) ?\[\d+\] = \d+'[hdb]0+;\n)+)  end\n", re.MULTILINE)

#: A signal without bits, which nothing can refer to and Verilog does not know.
_EMPTY = re.compile(r"^  (?:wire|reg) \[-1:0\] .*;\n", re.MULTILINE)


def _loop(match: re.Match[str]) -> str:
    rows = match[1].splitlines()
    names = {row.split("[")[0].strip() for row in rows}
    if len(names) != 1:
        return match[0]
    zero = rows[0].split("=")[1].strip()
    index = f"clear_{names.pop().lstrip(chr(92))}".replace(".", "_").replace("$", "_")
    memory = rows[0].strip().split("[")[0]
    return f"  integer {index};\n  initial for ({index} = 0; {index} < {len(rows)}; {index} = {index} + 1) " \
           f"{memory}[{index}] = {zero}\n"


def convert(component: wiring.Component, name: str) -> str:
    """Verilog text with the top module `name`. The clock is `clk`, the active-high synchronous reset `rst`.

    Memories that start as zeros, row by row in Amaranth's output, are cleared by a loop instead.
    """
    # The collector looks again and again at millions of objects that stay: a third of the time.
    enabled = gc.isenabled()
    gc.disable()
    try:
        text = verilog.convert(component, name=name, emit_src=False, strip_internal_attrs=True)
    finally:
        if enabled:
            gc.enable()
    return _EMPTY.sub("", _ZEROS.sub(_loop, text))


def emit(component: wiring.Component, name: str, path: Path) -> None:
    """Write the Verilog of `component` to `path`; folders are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(convert(component, name))


def top(config: HardwareConfig) -> str:
    """Verilog text of the accelerator, module ``terntable``."""
    # Other components are converted without the whole machine.
    from terntable.hw.accelerator import Accelerator

    return convert(Accelerator(config), TOP)


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
