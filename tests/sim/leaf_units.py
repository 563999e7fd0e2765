"""Resources of the leaf units at a small size, kept in resources.json by version of Yosys.

``python -m tests.sim.leaf_units`` writes the table anew for the version that is installed.
"""

import json
from dataclasses import asdict
from pathlib import Path

from terntable.hw.spec.config import preset
from terntable.sim.cells import Counts
from terntable.sim.open_tools import version
from terntable.sim.slices import SLICES
from terntable.sim.synthesis import measure

__all__ = ["LEAVES", "TABLE", "counts", "main", "table"]

TABLE = Path(__file__).with_name("resources.json")

#: Those that are many in an instance, and quick to synthesise.
LEAVES = ("tlmm", "gear", "builder", "lane_pair", "int8", "float_add", "float_mul", "float_from_int", "float_to_int",
          "float_to_fixed", "float_exp", "float_reciprocal", "exp2")


def counts(leaf: str) -> Counts:
    """Resources of a leaf as it is now."""
    return measure(SLICES[leaf].make(preset("nano"))).counts


def table() -> dict[str, dict[str, dict[str, float]]]:
    """The table: counts by leaf by version."""
    return json.loads(TABLE.read_text())


def main() -> None:
    """Bring the table up to date."""
    kept = table() if TABLE.is_file() else {}
    kept[version("yosys")] = {leaf: asdict(counts(leaf)) for leaf in LEAVES}
    TABLE.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
