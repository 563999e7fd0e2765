"""How the open tool's counts compare with Vivado's, on a public core whose counts its authors publish.

``python -m terntable.sim.calibration FOLDER``, where FOLDER is PicoRV32's repository; its text is also in the package
pythondata-cpu-picorv32. Nothing of it is part of this project.
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path

from terntable.sim.open_tools import run
from terntable.sim.synthesis import TOP, Synthesis, synthesise

__all__ = ["PUBLISHED", "Published", "main", "measure_core"]

SOURCES = ("picorv32.v", "scripts/vivado/synth_area_top.v", "scripts/vivado/tabtest.v")


@dataclass(frozen=True)
class Published:
    """What PicoRV32's README gives for Vivado 2017.3: lookup tables, memories among them, and registers on a Kintex-7 (6-input
    tables as those of UltraScale+), synthesised for area; or the shortest clock period on xcku3p, -2.
    """

    lut: int = 0
    ff: int = 0
    period_ns: float = 0


#: By the core's own top modules.
PUBLISHED = {
    "top_small": Published(lut=761, ff=442),
    "top_regular": Published(lut=917, ff=583),
    "top_large": Published(lut=2019, ff=1085),
    "top": Published(period_ns=1.4),
}


def measure_core(folder: Path, top: str) -> Synthesis:
    """One of the core's tops through the script that our own units go through."""
    with tempfile.TemporaryDirectory() as scratch:
        where = Path(scratch)
        for source in SOURCES:
            (where / Path(source).name).write_text((folder / source).read_text())
        names = " ".join(Path(source).name for source in SOURCES)
        script = f"read_verilog {names}; hierarchy -top {top}; proc; rename {top} {TOP}; write_rtlil unit.il"
        run("yosys", ["-q", "-p", script], where)
        return synthesise((where / "unit.il").read_text())


def main(arguments: list[str] | None = None) -> None:
    """Command line: both counts and their ratios."""
    parser = argparse.ArgumentParser(prog="python -m terntable.sim.calibration", description=main.__doc__)
    parser.add_argument("folder", type=Path, help="PicoRV32's repository")
    folder = parser.parse_args(arguments).folder
    for top, published in PUBLISHED.items():
        found = measure_core(folder, top)
        if published.lut:
            print(f"{top:12s} LUT {found.counts.lut:5d} against {published.lut:5d}: {found.counts.lut / published.lut:.2f}   "
                  f"FF {found.counts.ff:5d} against {published.ff:5d}: {found.counts.ff / published.ff:.2f}")
        else:
            levels = found.levels
            print(f"{top:12s} {levels.levels} levels, {levels.carry} bits of carry, {levels.path[0]} to {levels.path[-1]}; "
                  f"{published.period_ns} ns published")


if __name__ == "__main__":
    main()
