"""`terntable methods`: the decoding methods, what they promise and where they run."""

import argparse
import json
from typing import Any

from terntable.host.decoding.accelerator_target import AcceleratorTarget
from terntable.host.decoding.capabilities import Capability, names_of
from terntable.host.decoding.method import Method
from terntable.host.decoding.parts import SHIPPED_PARTS
from terntable.host.decoding.registry import load_all

__all__ = ["add_parser", "describe", "run"]

#: What the targets offer: a model of transformers at its best, and the accelerator with its twins.
TORCH = ~Capability(0)
TARGETS = {"torch": TORCH, "golden": AcceleratorTarget.capabilities, "sim": AcceleratorTarget.capabilities,
           "pynq": AcceleratorTarget.capabilities}


def add_parser(commands) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("methods", help="list the decoding methods", description="List the decoding methods.")
    parser.add_argument("--json", action="store_true", help="print a JSON list")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand."""
    lines = [describe(method) for method in load_all()]
    if arguments.json:
        print(json.dumps(lines))
        return 0
    rows = [("method", "paper", "guarantee", "needs", "targets", "status"),
            *((line["name"], line["paper"], line["guarantee"].partition(":")[0], ", ".join(line["needs"]),
               ", ".join(line["targets"]), line["status"]) for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]))
    return 0


def describe(method: Method) -> dict[str, Any]:
    """A line of the table."""
    status = "ready"
    if method.trained is not None:
        models = sorted(file.parent.name for file in SHIPPED_PARTS.glob(f"*/{method.trained}.safetensors"))
        status = f"trained for {', '.join(models)}" if models else "has to be trained"
    return {"name": method.name, "paper": method.paper, "guarantee": method.guarantee, "needs": names_of(method.needs),
            "targets": [name for name, offers in TARGETS.items() if method.needs in offers], "status": status}
