"""The runs behind docs/performance.md: ``python -m terntable.host.performance_runs FOLDER [NAME...]``.

Each is a `terntable bench` command whose result is kept as FOLDER/NAME.json. What is there already is not run again, so that an
hour of simulation can be cut short and go on. Then comes a table of all that are there.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["RUNS", "main", "row"]

_LARGE = "--shape bitnet-2b-4t --context 128"
_MEMORIES = ("flat-13.3", "flat-15.9")

#: Options of `terntable bench` by name: whole models, then what is extrapolated.
RUNS = {
    "decode-128": "--context 128",
    "verify-128": "--context 128 --rows 8",
    "verify-128-states-last": "--context 128 --rows 8 --states last",
    "verify-128-states-all": "--context 128 --rows 8 --states all",
    "prompt-64": "--prompt 64",
    "prompt-128": "--prompt 128",
    "decode-1024": "--context 1024",
    "verify-1024": "--context 1024 --rows 8",
    "decode-2040": "--context 2040",
    "verify-2040": "--context 2040 --rows 8",
    "golden-128": "--context 128 --check",
    "2b-decode-128": _LARGE,
    "2b-two-stage-128": f"{_LARGE} --head two-stage",
    "2b-two-stage-verify-128": f"{_LARGE} --head two-stage --rows 8",
    **{f"{name}-{memory}": f"{options} --ddr {memory}" for memory in _MEMORIES for name, options in {
        "decode-128": "--context 128 --layers 4",
        "verify-128": "--context 128 --rows 8 --layers 4",
        "prompt-64": "--prompt 64 --layers 2",
        "prompt-128": "--prompt 128 --layers 2",
        "decode-1024": "--context 1024 --layers 4",
        "2b-decode-128": f"{_LARGE} --layers 2",
        "2b-two-stage-128": f"{_LARGE} --head two-stage --layers 4",
    }.items()},
    "decode-128-ddr-2400": "--context 128 --layers 4 --ddr ddr-2400",
    "decode-128-fixed": "--context 128 --layers 4 --ddr fixed",
}


def row(name: str, result: Mapping[str, Any]) -> str:
    """A line of the table."""
    speed = f"{result['ttft_seconds']:.4f} s" if result["prompt"] else f"{result['tokens_per_second']:.2f} rows/s"
    source = f"{result['layers_simulated']} layers" if result["extrapolated"] else "whole"
    lost = ", ".join(f"{cause} {cycles:,}" for cause, cycles in result["stalls"].items() if cycles)
    cells = name, f"{result['cycles']:,}", speed, f"{result['roofline_share']:.1%}", source, lost, f"`{RUNS[name]}`"
    return f"| {' | '.join(cells)} |"


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m terntable.host.performance_runs", description=main.__doc__)
    parser.add_argument("folder", type=Path, help="where results are kept")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(RUNS)} (all)")
    parser.add_argument("--table", action="store_true", help="run nothing")
    chosen = parser.parse_args(arguments)
    unknown = [name for name in chosen.names if name not in RUNS]
    if unknown:
        print(f"Unknown run {unknown[0]!r}; known: {', '.join(RUNS)}", file=sys.stderr)
        return 2
    chosen.folder.mkdir(parents=True, exist_ok=True)
    for name in [] if chosen.table else chosen.names or RUNS:
        file = chosen.folder / f"{name}.json"
        if file.is_file():
            continue
        print(f"{name}: terntable bench {RUNS[name]}", file=sys.stderr, flush=True)
        call = [sys.executable, "-c", "import sys; from terntable.host.cli import main; sys.exit(main())", "bench", "--json"]
        done = subprocess.run([*call, *RUNS[name].split()], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            return done.returncode
        file.write_text(json.dumps(json.loads(done.stdout), indent=1) + "\n")
    print("| run | cycles | speed | share of the ports | simulated | stalled cycles | options of `terntable bench` |")
    print("|---|---|---|---|---|---|---|")
    for name in RUNS:
        file = chosen.folder / f"{name}.json"
        if file.is_file():
            print(row(name, json.loads(file.read_text())))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
