"""Place and route of one unit on an ECP5-85F, out of context, which gives a clock frequency of a whole flow without vendor tools.

ECP5 is slower than UltraScale+, has tables of four inputs, and Yosys uses its multipliers without their registers: the figure says
how evenly a unit is pipelined, not how fast it would be on a KV260.
"""

import json
import re
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from terntable.hw.spec.parts import PARTS
from terntable.sim.cells import count
from terntable.sim.errors import SynthesisError
from terntable.sim.open_tools import cached, digest, run, version
from terntable.sim.synthesis import SCRIPTS, TOP

__all__ = ["DEVICE", "Placement", "place"]

#: The part, and the fastest of its speed grades.
PART, GRADE = "LFE5U-85F", 8
DEVICE = f"{PART}-{GRADE}"

#: The clock that the tool is asked for, in MHz. It gives up what it cannot reach.
TARGET = 250

#: The tool's names of what it counts.
CELLS = {"lut": "TRELLIS_COMB", "ff": "TRELLIS_FF", "dsp": "MULT18X18D", "bram18": "DP16KD"}


@dataclass(frozen=True)
class Placement:
    """What place and route reached.

    Attributes
    ----------
    fmax_mhz : clock of paths between registers, routed.
    used : cells by resource.
    path : registers at both ends of the longest path.

    """

    fmax_mhz: float
    used: dict[str, int]
    path: tuple[str, ...]


def place(text: str, seed: int = 1) -> Placement:
    """Place and route of RTLIL text with the top module ``unit``; nothing runs if it was done before."""
    script = "\n".join(line.strip() for line in SCRIPTS["ecp5"].splitlines())
    options = f"--85k --speed {GRADE} --freq {TARGET} --seed {seed} --out-of-context --timing-allow-fail"

    def make(where: Path) -> dict[str, Any]:
        (where / "unit.il").write_text(text)
        (where / "synth.ys").write_text(f"read_rtlil unit.il\n{script}\nwrite_json netlist.json\n")
        run("yosys", ["-q", "-s", "synth.ys"], where)
        _check(json.loads((where / "netlist.json").read_text()))
        run("nextpnr-ecp5", [*options.split(), "-q", "--json", "netlist.json", "--report", "report.json"], where)
        return asdict(_read(json.loads((where / "report.json").read_text())))

    kept = cached(digest(text, script, options, version("yosys"), version("nextpnr-ecp5"), Path(__file__).read_text()), make)
    return Placement(kept["fmax_mhz"], kept["used"], tuple(kept["path"]))


def _check(netlist: dict[str, Any]) -> None:
    """The tool takes long to find out that a unit is too large."""
    needed = count(Counter(cell["type"] for cell in netlist["modules"][TOP]["cells"].values()), "ecp5")
    for name in ("lut", "ff", "dsp", "bram36"):
        if getattr(needed, name) > getattr(PARTS[PART], name):
            raise SynthesisError(f"The unit needs {getattr(needed, name)} {name}, and {DEVICE} has {getattr(PARTS[PART], name)}")


def _read(report: dict[str, Any]) -> Placement:
    clocks = report["fmax"]
    if not clocks:
        raise SynthesisError("The unit has no path from register to register")
    slowest = min(clocks, key=lambda name: clocks[name]["achieved"])
    # Other paths begin or end at ports.
    path = next(entry["path"] for entry in report["critical_paths"] if entry["from"] == entry["to"] == f"posedge {slowest}")
    ends = (path[0]["from"]["cell"], path[-1]["to"]["cell"])
    used = {name: report["utilization"][cell]["used"] for name, cell in CELLS.items()}
    # Yosys names a register by what it drives.
    return Placement(round(clocks[slowest]["achieved"], 2), used, tuple(re.sub(r"_TRELLIS_FF_Q.*", "", end) for end in ends))
