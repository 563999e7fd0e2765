"""`terntable timing`: place and route of one unit, and its longest path in logic levels."""

import argparse
import json

from terntable.host.arguments import chosen_preset, say
from terntable.host.errors import InputError

__all__ = ["add_parser", "run"]


def add_parser(commands) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "timing", help="clock and logic levels of a unit",
        description="Place and route a unit with nextpnr on an ECP5-85F, and count the levels of lookup tables of its longest path "
                    "as Yosys maps it to the preset's own family. Neither is a vendor tool's timing report.")
    parser.add_argument("--unit", required=True, metavar="NAME", help="unit of the accelerator, or a piece of one, as tlmm")
    parser.add_argument("--preset", default="kv260", help="hardware configuration, see `terntable presets` (kv260)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of the placement (1)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand."""
    # The rest of the command line needs no Amaranth.
    from terntable.sim.open_tools import version
    from terntable.sim.place_route import DEVICE, place
    from terntable.sim.slices import SLICES
    from terntable.sim.synthesis import synthesise, text_of
    from terntable.sim.units import units_of

    config = chosen_preset(arguments.preset)
    for tool in ("yosys", "nextpnr-ecp5"):
        version(tool)
    name = arguments.unit
    if name in SLICES:
        share = SLICES[name].share
        texts = {family: text_of(SLICES[name].make(config), family) for family in ("xcup", "ecp5")}
    else:
        units = {family: units_of(config, family, say).texts for family in ("xcup", "ecp5")}
        if name not in units["xcup"]:
            raise InputError(f"Unknown unit {name!r} of {config.name}; known: {', '.join(sorted({*SLICES, *units['xcup']}))}")
        share, texts = "whole", {family: found[name] for family, found in units.items()}
    say(f"Synthesising {name} for UltraScale+")
    levels = synthesise(texts["xcup"]).levels
    say(f"Placing {name} on {DEVICE}")
    placement = place(texts["ecp5"], arguments.seed)
    if arguments.json:
        print(json.dumps({
            "unit": name, "share": share, "preset": config.name, "device": DEVICE, "fmax_mhz": placement.fmax_mhz,
            "used": placement.used, "placed_path": placement.path, "lut_levels": levels.levels, "carry": levels.carry,
            "path": levels.path, "tools": [version("yosys"), version("nextpnr-ecp5")],
        }))
    else:
        used = ", ".join(f"{count:,} {cell}" for cell, count in placement.used.items() if count)
        print(f"{name} of {config.name} ({share})\n"
              f"  placed and routed on {DEVICE}: {placement.fmax_mhz:g} MHz, {' to '.join(placement.path)}; {used}\n"
              f"  on UltraScale+: {levels.levels} levels and {levels.carry} bits of carry, {' to '.join(levels.path)}")
    return 0
