"""Fixtures of all tests: `simulate` runs a bench in the simulator."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Benches are imported by name, here and in the simulator's interpreter, which takes over this path.
if str(ROOT) not in sys.path:
    sys.path.append(str(ROOT))


def pytest_configure(config: pytest.Config) -> None:
    """Let a test look at a component's ports or messages without elaborating it."""
    config.addinivalue_line("filterwarnings", "ignore::amaranth.hdl.UnusedElaboratable")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest build first, so that at the end no worker waits for it alone."""
    items.sort(key=lambda item: "test_shipped" not in item.nodeid)


@pytest.fixture
def simulate(tmp_path: Path) -> Callable[..., None]:
    """``simulate(components, "tests.hw.dot_bench", **env)``: build, run all its tests, fail if one fails."""
    from cocotb_tools.runner import get_results, get_runner

    from tests.hw.bench.build import build_simulator

    def run(components: Mapping[str, Any], bench: str, **env: object) -> None:
        built = build_simulator(components, bench.rpartition(".")[2])
        seed = os.environ.get("SEED", "1")
        log = tmp_path / "simulator.log"
        runner = get_runner("verilator")
        try:
            report = runner.test(
                hdl_toplevel="top", hdl_toplevel_lang="verilog", test_module=bench, build_dir=built,
                test_dir=tmp_path, seed=seed, log_file=log,
                extra_env={"BENCH_PORTS": str(built / "ports.json"), "SEED": seed, "COCOTB_ANSI_OUTPUT": "0",
                           **{f"BENCH_{name.upper()}": str(value) for name, value in env.items()}})
            ran, failed = get_results(report)
        except SystemExit:
            # What the runner raises when a bench failed or the simulator died.
            ran, failed = 0, 1
        if failed or not ran:
            print(log.read_text()[-20000:])
            print(f"SEED={seed}")
            why = f"failed; run it again with SEED={seed}" if failed else "has no tests"
            pytest.fail(f"{bench} {why}")

    return run
