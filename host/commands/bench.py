"""`terntable bench`: cycles of passes of a whole model of any shape, simulated in RTL against a model of DDR memory; or a board."""

import argparse
import json
import sys
import time
from dataclasses import replace
from typing import Any

from terntable.host.arguments import add_board_options, add_ddr_option, board_options, chosen_preset, chosen_shape, ddr_options, say
from terntable.host.bench import STATES, Job, expected_cycles, extrapolate, measure, summary
from terntable.host.checked import CheckedSession
from terntable.host.device import Device
from terntable.host.errors import InputError
from terntable.host.session import HEADS, Session
from terntable.hw.spec.config import HardwareConfig
from terntable.models.shapes import SHAPES

__all__ = ["add_parser", "run"]


def add_parser(commands) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("bench", help="speed of a model's passes, simulated in RTL", description=run.__doc__)
    parser.add_argument("--device", default="sim", help="sim; or pynq, a real model on a board, timed (sim)")
    parser.add_argument("--model", default="kjv", help="what a board runs: a name, Hugging Face directory or compiled file (kjv)")
    parser.add_argument("--preset", help="hardware configuration, see `terntable presets` (kv260, or that of the bitstream)")
    parser.add_argument("--shape", default="bitnet-0.73b",
                        help=f"{', '.join(SHAPES)}, or sizes as hidden=1536,intermediate=4096,... (bitnet-0.73b)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--context", type=int, metavar="N", help="committed tokens before the pass (128)")
    what.add_argument("--prompt", type=int, metavar="N", help="run a prompt of N tokens to its first new token")
    parser.add_argument("--rows", type=int, metavar="N", help="rows of the pass (1)")
    parser.add_argument("--head", choices=HEADS, default="exact", help="exact, or two-stage: a ternary shortlist first (exact)")
    parser.add_argument("--states", choices=STATES, default="none",
                        help="layers whose states the pass leaves in memory, as some decoding methods want them (none)")
    parser.add_argument("--layers", type=int, metavar="N",
                        help="simulate only N layers, at least 2, and one, and extrapolate (all layers)")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of weights, tokens and cache (1)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads of the simulator, 1 or 2 (1)")
    parser.add_argument("--check", action="store_true", help="compare every pass with the golden model")
    parser.add_argument("--fresh", action="store_true", help="begin anew where an earlier run of a prompt was cut short")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_ddr_option(parser)
    add_board_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Simulate passes of a model with random weights and print cycles, speed, bytes and stalls."""
    board_options(arguments)
    if arguments.device == "pynq":
        from terntable.host.commands.bench_board import run_on_board

        return run_on_board(arguments, head=arguments.head)
    if arguments.device != "sim":
        raise InputError(f"Unknown device {arguments.device!r}; known here: sim, pynq")
    if arguments.context is None:
        arguments.context = 128
    config = chosen_preset(arguments.preset or "kv260")
    shape = chosen_shape(arguments.shape)
    prompt = arguments.prompt or 0
    rows = _count(arguments.rows, 1, config.rows, "--rows", f"the rows of preset {config.name}") or 1
    if arguments.prompt is not None:
        _count(arguments.prompt, 1, min(shape.context, config.max_context), "--prompt", "the context of shape and preset")
        if arguments.rows is not None:
            raise InputError("--rows is for one pass; a prompt always runs in full passes")
        rows = config.rows
    else:
        _count(arguments.context, 0, min(shape.context, config.max_context) - rows, "--context", "what shape and preset hold")
    _count(arguments.layers, 2 if shape.layers > 2 else 1, shape.layers, "--layers", f"the layers of {shape.name}")
    if arguments.threads not in (1, 2):
        raise InputError(f"--threads must be 1 or 2, not {arguments.threads}")
    options = ddr_options(arguments) | {"threads": arguments.threads}
    job = Job(shape=shape, config=config, context=0 if prompt else arguments.context, rows=rows, prompt=prompt,
              layers=arguments.layers or shape.layers, seed=arguments.seed, head=arguments.head, states=arguments.states)
    kind = CheckedSession if arguments.check else Session

    def one(job: Job):
        status = _Status(expected_cycles(job))
        return measure(job, lambda size: _open(config, size, options), progress=say, resume=not arguments.fresh,
                       on_cycles=status.cycles, session_type=kind, variant=repr(sorted(options.items())))

    measured = [one(job)]
    if job.layers != shape.layers:
        measured.insert(0, one(replace(job, layers=1)))
    totals: dict[str, Any] = measured[0].total if len(measured) == 1 else extrapolate(measured[0], measured[1], shape.layers)
    result = summary(job, totals, layers=shape.layers, simulated=[one.job.layers for one in measured])
    result |= {"ddr": arguments.ddr} | ({"equal_to_golden": True} if arguments.check else {})
    print(json.dumps(result) if arguments.json else _text(result))
    return 0


def _open(config: HardwareConfig, memory_bytes: int, options: dict[str, Any]) -> Device:
    from terntable.host.devices.simulator import SimulatorDevice

    return SimulatorDevice(config, memory_bytes=memory_bytes, progress=say, **options)


def _count(value: int | None, low: int, high: int, name: str, limit: str) -> int | None:
    if value is not None and not low <= value <= high:
        raise InputError(f"{name} must be {low} to {high}, {limit}, not {value}")
    return value


def _text(result: dict[str, Any]) -> str:
    clock = f"simulated, {result['clock_hz'] / 1e6:g} MHz assumed"
    what = f"prompt of {result['prompt']} tokens" if result["prompt"] else f"{result['rows']} rows at context {result['context']}"
    kept = f"{result['head']} head, states kept: {result['states']}"
    lines = [("", f"{result['shape']} on {result['preset']}, {what}, {kept}, DDR model {result['ddr']}"),
             ("layers", result["how"]), ("cycles", f"{result['cycles']:,} in {result['passes']} passes")]
    if result["ttft_seconds"] is not None:
        lines.append(("time to first token", f"{result['ttft_seconds']:.4f} s ({clock})"))
    else:
        lines.append(("rows per second", f"{result['tokens_per_second']:.2f} ({clock})"))
    lines += [
        ("DDR bytes", f"{result['ddr_bytes_read']:,} read, {result['ddr_bytes_written']:,} written"),
        ("share of the ports' limit", f"{result['roofline_share']:.1%}"),
        ("bytes by port", ", ".join(f"{count:,}" for count in result["bytes_by_port"])),
        ("bytes by use", ", ".join(f"{name} {count:,}" for name, count in result["bytes_by_use"].items())),
        ("busy cycles", ", ".join(f"{name} {count:,}" for name, count in result["busy"].items())),
        ("stalled cycles", ", ".join(f"{name} {count:,}" for name, count in result["stalls"].items())),
    ]
    if "equal_to_golden" in result:
        lines.append(("equal to the golden model", "yes, every byte"))
    return "\n".join(f"{name + ':' if name else '':27s}{value}" for name, value in lines)


class _Status:
    """How far a job is, now and then, on the error stream."""

    SECONDS = 20.0

    def __init__(self, expected: float) -> None:
        self._expected, self._before, self._last = expected, 0, 0
        self._start: float | None = None
        self._said = 0.0

    def cycles(self, cycles: int) -> None:
        now = time.monotonic()
        if self._start is None:
            self._start = self._said = now
        if cycles < self._last:
            self._before += self._last
        self._last = cycles
        done = self._before + cycles
        if now - self._said >= self.SECONDS:
            self._said = now
            left = (now - self._start) * max(0.0, self._expected / done - 1)
            print(f"  {done:,} of about {self._expected:,.0f} cycles, about {left / 60:.0f} min left", file=sys.stderr, flush=True)
