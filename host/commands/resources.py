"""`terntable resources`: what an instance takes of its FPGA, by unit."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from terntable.host.arguments import chosen_preset, say
from terntable.host.errors import InputError
from terntable.hw.spec.parts import Part, part_of

if TYPE_CHECKING:
    from terntable.sim.cells import Counts
    from terntable.sim.synthesis import Synthesis

__all__ = ["add_parser", "run"]

COLUMNS = ("lut", "ff", "dsp", "bram36", "uram")


def add_parser(commands) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "resources", help="what a preset takes of its FPGA",
        description="Synthesise a preset with Yosys and count lookup tables, flip-flops, multipliers and memories by unit. "
                    "What did not change since it was last counted is not synthesised again.")
    parser.add_argument("--preset", default="kv260", help="hardware configuration, see `terntable presets` (kv260)")
    parser.add_argument("--unit", action="append", metavar="NAME", help="only this unit; may be repeated")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand."""
    # The rest of the command line needs no Amaranth.
    from terntable.sim.cells import Counts
    from terntable.sim.open_tools import version
    from terntable.sim.units import WIRES, synthesise_units, units_of

    config = chosen_preset(arguments.preset)
    part, tool = part_of(config.name), version("yosys")
    units = units_of(config, part.family, say)
    known = [*units.texts, WIRES]
    names = arguments.unit or known
    for name in names:
        if name not in known:
            raise InputError(f"Unknown unit {name!r} of {config.name}; known: {', '.join(known)}")
    found = synthesise_units(units, names, part.family, say)
    found = {name: found[name] for name in names}
    total = sum((unit.counts for unit in found.values()), Counts())
    if arguments.json:
        print(json.dumps({**asdict(total), "part": part.name, "tool": tool, "by_unit": {n: _row(s) for n, s in found.items()}}))
    else:
        print("\n".join(_table(part, tool, found, total)))
    return 0


def _row(unit: "Synthesis") -> dict[str, Any]:
    return {**asdict(unit.counts), "lut_levels": unit.levels.levels, "carry": unit.levels.carry}


def _table(part: Part, tool: str, found: Mapping[str, "Synthesis"], total: "Counts") -> list[str]:
    rows = [["", *(name.upper() for name in COLUMNS), "levels", "carry"]]
    for name, unit in sorted(found.items(), key=lambda item: -item[1].counts.lut):
        rows.append([name, *(f"{getattr(unit.counts, column):,}" for column in COLUMNS),
                     f"{unit.levels.levels}", f"{unit.levels.carry}"])
    rows.append(["together", *(f"{getattr(total, column):,}" for column in COLUMNS), "", ""])
    rows.append([part.name, *(f"{getattr(part, column):,}" for column in COLUMNS), "", ""])
    shares = [getattr(total, column) / getattr(part, column) if getattr(part, column) else None for column in COLUMNS]
    rows.append(["share", *("-" if share is None else f"{share:.1%}" for share in shares), "", ""])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [f"{part.name} ({part.board}), {tool}",
            *(" ".join(cell.ljust(width) if column == 0 else cell.rjust(width)
                       for column, (cell, width) in enumerate(zip(row, widths, strict=True))).rstrip() for row in rows)]
