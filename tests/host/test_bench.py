"""`terntable bench`: its numbers on a small instance, its checkpoints, its mistakes."""

import json

import pytest

from terntable.host import roofline
from terntable.host.bench import Job, expected_cycles
from terntable.host.cli import main
from terntable.host.commands import bench as bench_command
from terntable.hw.spec.config import preset
from terntable.models.shapes import SHAPES

SHAPE = "hidden=48,intermediate=80,layers=3,heads=2,kv_heads=2,head_dim=24,vocab=100,act=silu,context=64"
SMALL = ["bench", "--preset", "nano", "--shape", SHAPE]
KEYS = {"cycles", "clock_hz", "rows", "tokens_per_second", "ttft_seconds", "ddr_bytes_read", "ddr_bytes_written", "roofline_share",
        "layers_simulated", "extrapolated", "stalls"}


def bench(capsys, *words: str) -> dict:
    assert main([*SMALL, *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_pass_equals_golden(capsys):
    result = bench(capsys, "--context", "20", "--rows", "3", "--check")
    assert KEYS <= set(result) and result["equal_to_golden"] and not result["extrapolated"]
    assert result["rows"] == 3 and result["layers_simulated"] == 3
    assert sum(result["bytes_by_port"]) == result["ddr_bytes_read"]
    assert result["tokens_per_second"] == pytest.approx(3 * result["clock_hz"] / result["cycles"])


def test_two_stages_equal_golden(capsys):
    """With fewer bytes than the exact head, and with the same bytes for rows that want nothing of it."""
    result = bench(capsys, "--context", "20", "--rows", "3", "--check", "--head", "two-stage")
    assert result["head"] == "two-stage" and result["equal_to_golden"]
    exact = bench(capsys, "--context", "20", "--rows", "3")
    assert exact["head"] == "exact"
    assert result["bytes_by_use"]["stream"] < exact["bytes_by_use"]["stream"]
    # A beat of a scale and three of columns for each of sixteen candidates, and a scale for each output of the shortlist.
    assert result["bytes_by_use"]["read"] - exact["bytes_by_use"]["read"] == 3 * 16 * (1 + 3) * 16 + 100 * 4
    assert result["busy"].keys() == exact["busy"].keys() and result["stalls"].keys() == exact["stalls"].keys()


def test_extrapolation_is_near_the_whole(capsys):
    whole = bench(capsys, "--context", "20", "--ddr", "fixed")
    part = bench(capsys, "--context", "20", "--ddr", "fixed", "--layers", "2")
    assert part["extrapolated"] and part["layers_simulated"] == 2 and "1 and 2 layers" in part["how"]
    assert part["cycles"] == pytest.approx(whole["cycles"], rel=0.02)
    assert part["ddr_bytes_read"] == pytest.approx(whole["ddr_bytes_read"], rel=0.02)


def test_a_prompt_goes_on_where_it_was_cut(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("terntable.host.bench.cache_folder", lambda: tmp_path / "models")
    whole = bench(capsys, "--prompt", "8")
    assert whole["ttft_seconds"] == pytest.approx(whole["cycles"] / whole["clock_hz"]) and whole["passes"] == 3

    from terntable.host.session import Session

    kept, count = Session.extend, []

    def cut(self, tokens):
        count.append(1)
        if len(count) == 2:
            raise KeyboardInterrupt
        return kept(self, tokens)

    monkeypatch.setattr(Session, "extend", cut)
    assert main([*SMALL, "--prompt", "8", "--json"]) == 130
    capsys.readouterr()
    monkeypatch.setattr(Session, "extend", kept)
    again = bench(capsys, "--prompt", "8")
    assert again["passes"] == 3 and again["ddr_bytes_read"] == whole["ddr_bytes_read"]
    assert again["cycles"] == pytest.approx(whole["cycles"], rel=0.02)


@pytest.mark.parametrize(("words", "sentence"), [
    (["--shape", "foo"], "unknown shape 'foo'"),
    (["--preset", "foo"], "Unknown preset 'foo'"),
    (["--rows", "9"], "--rows must be 1 to 8"),
    (["--context", "2048"], "--context must be 0 to 2047"),
    (["--prompt", "0"], "--prompt must be 1 to 2048"),
    (["--prompt", "8", "--rows", "2"], "--rows is for one pass"),
    (["--layers", "25"], "--layers must be 2 to 24"),
    (["--ddr", "foo"], "Unknown memory 'foo'"),
    (["--head", "foo"], "invalid choice: 'foo' (choose from"),
    (["--threads", "3"], "--threads must be 1 or 2, not 3"),
    (["--preset", "tiny"], "hidden size is 1536, but preset tiny holds 256"),
])
def test_mistakes_are_one_sentence(capsys, words, sentence):
    assert main(["bench", *words]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and sentence in error[0]


def test_progress_counts_all_passes(capsys, monkeypatch):
    job = Job(shape=SHAPES["bitnet-0.73b"], config=preset("kv260"), context=0, rows=8, prompt=64, layers=24)
    # docs/performance.md has what simulation says.
    assert expected_cycles(job) == pytest.approx(19_381_240, rel=0.03)
    now = [0.0]
    monkeypatch.setattr(bench_command.time, "monotonic", lambda: now[0])
    status = bench_command._Status(4_000_000)
    for seconds, cycles in ((0, 10), (30, 500_000), (40, 600_000), (90, 400_000)):
        now[0] = float(seconds)
        status.cycles(cycles)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["  500,000 of about 4,000,000 cycles, about 4 min left",
                     "  1,000,000 of about 4,000,000 cycles, about 4 min left"]


def test_roofline(capsys, tmp_path):
    result = {"shape": "bitnet-0.73b", "preset": "kv260", "context": 128, "prompt": 0, "rows": 8, "cycles": 3_200_000,
              "clock_hz": 250_000_000, "ddr_bytes_read": 196_000_000, "ddr_bytes_written": 77_000}
    intensity, speed, label = roofline.point(result)
    assert label == "bitnet-0.73b, 8 rows, context 128"
    assert intensity == pytest.approx(8 * (679_477_248 + 32002 * 1536) / 196_077_000)
    assert speed == pytest.approx(intensity * 196_077_000 / 3_200_000 / 4)
    file, plot = tmp_path / "run.json", tmp_path / "plot.svg"
    file.write_text(json.dumps(result))
    assert roofline.main([str(file), "--output", str(plot)]) == 0
    assert label in plot.read_text() and "16 GB/s" in plot.read_text() and "768 G/s" in plot.read_text()
    file.write_text("{}")
    assert roofline.main([str(file), "--output", str(plot)]) == 2
    assert capsys.readouterr().err.startswith("No roofline: ")


def test_explore(capsys, tmp_path):
    plot = tmp_path / "plot.svg"
    assert main(["explore", "--plot", str(plot), "--json"]) == 0
    points = json.loads(capsys.readouterr().out)["points"]
    assert "<svg" in plot.read_text() and len(points) == 48
    wide = [p for p in points if p["beat_bytes"] == 64 and p["rows"] == 8]
    assert all(70 < p["tokens_per_second"] < 82 and p["verify_cost"] < 1.15 for p in wide)
