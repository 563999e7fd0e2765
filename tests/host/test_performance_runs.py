"""The recorded runs: kept results are not run again, and every command is one that `terntable bench` takes."""

import argparse
import json

import pytest

from terntable.host import performance_runs
from terntable.host.arguments import ddr_options
from terntable.host.commands import bench
from terntable.host.performance_runs import RUNS, main

SHAPE = "hidden=48,intermediate=80,layers=3,heads=2,kv_heads=2,head_dim=24,vocab=100,act=silu,context=64"


@pytest.mark.parametrize("name", RUNS)
def test_commands_are_understood(name):
    parser = argparse.ArgumentParser()
    bench.add_parser(parser.add_subparsers())
    arguments = parser.parse_args(["bench", "--json", *RUNS[name].split()])
    assert arguments.device == "sim" and ddr_options(arguments)


def test_a_run_is_kept(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(performance_runs, "RUNS", {"small": f"--preset nano --shape {SHAPE} --context 20"})
    assert main([str(tmp_path)]) == 0
    result = json.loads((tmp_path / "small.json").read_text())
    assert f"| small | {result['cycles']:,} | " in capsys.readouterr().out
    result["cycles"] = 12345
    (tmp_path / "small.json").write_text(json.dumps(result))
    assert main([str(tmp_path), "small"]) == 0
    assert "| small | 12,345 | " in capsys.readouterr().out


def test_an_unknown_name(tmp_path, capsys):
    assert main([str(tmp_path), "decode-129"]) == 2
    assert "Unknown run 'decode-129'; known: decode-128, " in capsys.readouterr().err
