"""Synthesis of one unit, out of context: its resources and its longest paths.

Counts are those of the open tool, which packs less tightly than the vendor's: see docs/resources.md.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from amaranth.back import rtlil  # type: ignore[attr-defined]
from amaranth.lib import wiring

from terntable.hw.emission import brief
from terntable.sim import cells, logic_levels, primitives
from terntable.sim.cells import Counts, count
from terntable.sim.logic_levels import Levels, analyse
from terntable.sim.open_tools import cached, digest, run, version

__all__ = ["TOP", "Synthesis", "measure", "synthesise", "text_of"]

#: Name of a unit's top module.
TOP = "unit"

_XILINX = f"synth_xilinx -family xcup -top {TOP} -noiopad -noclkbuf -uram -flatten"

#: Yosys puts registers, adders and accumulators into a DSP48E1 only. A DSP48E2 has all of it and a wider multiplier, so that
#: multipliers are DSP48E1 while that goes on; those that the design instantiates stay as they are. Nets are split before mapping
#: to lookup tables, which else fails on bigger designs (YosysHQ/yosys#4349).
SCRIPTS = {
    "xcup": f"""
        {_XILINX} -run :map_dsp
        setattr -set own 1 t:DSP48E2
        memory_dff
        alumacc -macc-only
        maccmap -unmap
        opt_clean
        techmap -map +/mul2dsp.v -map +/xilinx/xcu_dsp_map.v -D DSP_A_MAXWIDTH=27 -D DSP_B_MAXWIDTH=18 \
            -D DSP_A_MAXWIDTH_PARTIAL=18 -D DSP_A_MINWIDTH=2 -D DSP_B_MINWIDTH=2 -D DSP_Y_MINWIDTH=9 -D DSP_SIGNEDONLY=1 \
            -D DSP_NAME=$__MUL27X18
        select a:mul2dsp
        setattr -unset mul2dsp
        opt_expr -fine
        wreduce
        select -clear
        setparam -unset AMULTSEL -unset BMULTSEL -set USE_DPORT "FALSE" t:DSP48E2 a:own %d
        chtype -set DSP48E1 t:DSP48E2 a:own %d
        xilinx_dsp -family xc7
        setparam -unset USE_DPORT t:DSP48E1
        chtype -set DSP48E2 t:DSP48E1
        chtype -set $mul t:$__soft_mul
        {_XILINX} -run coarse:map_luts
        splitnets
        {_XILINX} -run map_luts:""",
    "ecp5": f"""
        synth_ecp5 -top {TOP} -run :map_luts
        splitnets
        synth_ecp5 -top {TOP} -run map_luts:""",
}


@dataclass(frozen=True)
class Synthesis:
    """What became of a unit.

    Attributes
    ----------
    cells : how many of each primitive.
    levels : longest paths; none on ECP5, where nextpnr finds them.

    """

    counts: Counts
    cells: Mapping[str, int]
    levels: Levels


def text_of(component: wiring.Component, family: str = "xcup") -> str:
    """RTLIL of a component as it is on a family, which is its platform, for :func:`synthesise`."""
    with brief():
        return rtlil.convert(component, name=TOP, platform=family, emit_src=False)


def measure(component: wiring.Component, family: str = "xcup") -> Synthesis:
    """Synthesis of a component alone."""
    return synthesise(text_of(component, family), family)


def synthesise(text: str, family: str = "xcup", boxes: Mapping[str, Levels] | None = None) -> Synthesis:
    """Synthesis of RTLIL text with the top module ``unit``; nothing runs if it was done before.

    Parameters
    ----------
    boxes : longest paths of the modules that the text declares as black boxes.

    """
    boxes = boxes or {}
    script = "\n".join(line.strip() for line in SCRIPTS[family].splitlines())
    known = [Path(module.__file__ or "").read_text() for module in (cells, logic_levels, primitives)]
    timing = json.dumps({name: asdict(levels) for name, levels in sorted(boxes.items())})

    def make(where: Path) -> dict[str, Any]:
        (where / "unit.il").write_text(text)
        (where / "synth.ys").write_text(f"read_rtlil unit.il\n{script}\nwrite_json netlist.json\n")
        run("yosys", ["-q", "-s", "synth.ys"], where)
        module = json.loads((where / "netlist.json").read_text())["modules"][TOP]
        found = dict(Counter(cell["type"] for cell in module["cells"].values()))
        counts = count({kind: n for kind, n in found.items() if kind not in boxes}, family)
        levels = analyse(module, boxes) if family == "xcup" else Levels()
        return asdict(Synthesis(counts, found, levels))

    kept = cached(digest(text, script, timing, version("yosys"), *known), make)
    return Synthesis(Counts(**kept["counts"]), kept["cells"], Levels(**{**kept["levels"], "path": tuple(kept["levels"]["path"])}))
