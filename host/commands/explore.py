"""`terntable explore`: speed against resources over many instances, by the analytic model that simulation holds to account."""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from terntable.host.arguments import chosen_preset, chosen_shape, say
from terntable.host.errors import InputError
from terntable.host.plot import scatter
from terntable.hw.spec.config import HardwareConfig
from terntable.models.shapes import SHAPES
from terntable.sim.ddr_parameters import DELIVERED

__all__ = ["add_parser", "run", "sweep"]

COLUMNS = ("rows", "beat_bytes", "lanes", "ring_words", "tokens_per_second", "ttft_seconds", "verify_cost", "lookups",
           "multipliers", "memory_kbit", "ring_kbit", "ring_needed")


def add_parser(commands) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "explore", help="speed against resources over many instances",
        description="Sweep rows, beat bytes, lanes and ring depth of a preset, and print what the analytic model says of each.")
    parser.add_argument("--preset", default="kv260", help="where the other parameters come from (kv260)")
    parser.add_argument("--shape", default="bitnet-0.73b", help=f"{', '.join(SHAPES)}, or sizes (bitnet-0.73b)")
    parser.add_argument("--context", type=int, default=128, metavar="N", help="committed tokens (128)")
    parser.add_argument("--rate", type=float, default=DELIVERED, metavar="R",
                        help="share of the ports' bytes that memory delivers, above 0 and at most 1 "
                             f"({DELIVERED}, the DDR model's)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also write a plot, an SVG file")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand."""
    config = chosen_preset(arguments.preset)
    shape = chosen_shape(arguments.shape)
    if not 0 < arguments.rate <= 1:
        raise InputError(f"--rate must be above 0 and at most 1, not {arguments.rate}")
    if not 0 <= arguments.context <= shape.context - config.rows:
        raise InputError(f"--context must be 0 to {shape.context - config.rows}, not {arguments.context}")
    points = sweep(config, shape, arguments.context, arguments.rate)
    if arguments.plot is not None:
        if not arguments.plot.resolve().parent.is_dir():
            raise InputError(f"--plot must be a file in a folder that exists, not {arguments.plot}")
        text = scatter([(p["lookups"] + p["multipliers"], p["tokens_per_second"], f"{p['rows']} x {p['beat_bytes']}")
                        for p in points], title=f"{shape.name}, context {arguments.context}", x="lookups and multipliers",
                       y="tokens/s")
        arguments.plot.write_text(text)
        say(f"Plot written to {arguments.plot}")
    if arguments.json:
        print(json.dumps({"shape": shape.name, "context": arguments.context, "rate": arguments.rate, "points": points}))
        return 0
    print("  ".join(f"{name:>17s}" for name in COLUMNS))
    for point in points:
        print("  ".join(f"{point[name]:17.4g}" if isinstance(point[name], float) else f"{point[name]:17d}" for name in COLUMNS))
    return 0


def sweep(config: HardwareConfig, shape, context: int, rate: float) -> list[dict[str, Any]]:
    """One point for each instance: decode speed, time to the first of 64 tokens, a full verify pass over a single row, sizes."""
    from terntable.sim.performance import estimate, ring_words

    points = []
    for beat in (16, 32, 64):
        for rows in (1, 2, 4, 8):
            for lanes in (2, 4):
                for depth in (config.ring_words // 8, config.ring_words):
                    instance = replace(config, name="custom", rows=rows, beat_bytes=beat, ports=max(1, beat // config.port_bytes),
                                       lanes=lanes, outputs=max(lanes, min(config.outputs, beat // 8)), ring_words=depth,
                                       glu_units=min(rows, config.glu_units))
                    points.append(_point(instance, shape, context, rate, estimate, ring_words))
    return points


def _point(config: HardwareConfig, shape, context: int, rate: float, estimate, ring_words) -> dict[str, Any]:
    given = {"bytes_per_cycle": rate * config.beat_bytes}
    one = estimate(shape, config, context=context, **given).cycles
    full = estimate(shape, config, context=context, rows=config.rows, **given).cycles
    prompt, starts = 64, range(0, 64, config.rows)
    first = sum(estimate(shape, config, context=at, rows=min(config.rows, prompt - at), output=at + config.rows >= prompt,
                         **given).cycles for at in starts)
    memory = config.rows * (32 * (config.max_hidden + config.max_activations) + 8 * (config.max_activations + config.max_query)
                            + 16 * config.max_hidden + 22 * config.partial_columns + 2 * 32 * config.max_context)
    return {
        "rows": config.rows, "beat_bytes": config.beat_bytes, "lanes": config.lanes, "ring_words": config.ring_words,
        "tokens_per_second": config.clock_hz / one, "ttft_seconds": first / config.clock_hz, "verify_cost": full / one,
        "lookups": config.rows * config.word_bytes, "multipliers": config.rows * config.beat_bytes,
        "memory_kbit": memory / 1024, "ring_kbit": 8 * config.ring_words * config.word_bytes / 1024,
        "ring_needed": ring_words(shape, config, context=context, **given),
    }
