"""Draws results of `terntable bench --json` under the roofline of their preset: ``python -m terntable.host.roofline FILE...``.

Every weight of a row counts as one multiply-accumulate, keys and values as bytes only.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from terntable.host.errors import InputError
from terntable.host.plot import scatter
from terntable.hw.spec.config import LOOKUP_TRITS, HardwareConfig, preset
from terntable.models.shapes import SHAPES, ternary_weights

__all__ = ["chart", "draw", "main", "point"]


def point(result: Mapping[str, Any]) -> tuple[float, float, str]:
    """Multiply-accumulates per byte, 1e9 of them per second, and a label, of one result."""
    shape = SHAPES[result["shape"]]
    head = shape.vocab * shape.hidden
    if result["prompt"]:
        work, label = result["prompt"] * ternary_weights(shape) + head, f"prompt of {result['prompt']}"
    else:
        rows = result["rows"]
        work = rows * (ternary_weights(shape) + head)
        label = f"{rows} {'row' if rows == 1 else 'rows'}, context {result['context']}"
    if result.get("head", "exact") != "exact":
        label += f", {result['head']} head"
    moved = result["ddr_bytes_read"] + result["ddr_bytes_written"]
    return work / moved, work * result["clock_hz"] / result["cycles"] / 1e9, f"{shape.name}, {label}"


def draw(results: list[Mapping[str, Any]]) -> str:
    """SVG of the results, all of one preset, with the roofs of its ports and of its lookups."""
    names = {result["preset"] for result in results}
    if len(names) != 1:
        raise InputError(f"Results of one preset are needed, not of {', '.join(sorted(names)) or 'none'}")
    config = preset(names.pop())
    return chart([point(result) for result in results], config, clock_hz=config.clock_hz,
                 title=f"{config.name}, simulated RTL, {config.clock_hz / 1e6:g} MHz assumed")


def chart(points: Sequence[tuple[float, float, str]], config: HardwareConfig, *, clock_hz: int, title: str) -> str:
    """SVG of points as :func:`point` gives them, with the roofs of a preset's ports and of its lookups at a clock."""
    bandwidth, peak = config.beat_bytes * clock_hz / 1e9, _peak(config, clock_hz)
    knee, left, right = peak / bandwidth, min(a for a, _, _ in points) / 2, max(a for a, _, _ in points) * 2
    roofs = [([(left, left * bandwidth), (knee, peak)], f"ports, {bandwidth:g} GB/s"),
             ([(knee, peak), (max(right, 2 * knee), peak)], f"{config.rows} rows of lookups, {peak:g} G/s")]
    return scatter(points, lines=roofs, log=True, labels=True, title=title,
                   x="multiply-accumulates per byte of DDR", y="1e9 multiply-accumulates/s")


def _peak(config: HardwareConfig, clock_hz: int) -> float:
    return config.rows * config.word_bytes * LOOKUP_TRITS * clock_hz / 1e9


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m terntable.host.roofline", description=main.__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="results, one JSON object each")
    parser.add_argument("--output", type=Path, required=True, help="SVG file")
    chosen = parser.parse_args(arguments)
    try:
        chosen.output.write_text(draw([json.loads(path.read_text()) for path in chosen.files]))
    except (InputError, OSError, KeyError, ValueError) as error:
        print(f"No roofline: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
