"""What the installed package tells PYNQ and pip: notebooks that PYNQ's own command delivers, overlays that it finds by name."""

import re
import sys
from importlib.metadata import metadata, requires
from pathlib import Path

import pynq
import pynq._cli.get_notebooks as get_notebooks
import pytest
from pynqutils.setup_utils import ExtensionsManager

import terntable.host.board.notebooks
from terntable.host.board import overlays
from terntable.host.board.overlays import find_bitstream
from terntable.host.errors import InputError
from terntable.hw.spec.registers import IDENT

NOTEBOOKS = {path.name: path.read_text() for path in Path(terntable.host.board.notebooks.__path__[0]).glob("*.ipynb")}


def deliver(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["pynq get-notebooks", *words])
    get_notebooks.main()


@pytest.mark.parametrize("options", [["--device", "simulated"], ["--ignore-overlays"]])
def test_get_notebooks(options, monkeypatch, tmp_path):
    """Unmodified, for a device by name as on a board, and on a PC, where it has none to ask for."""
    deliver(monkeypatch, "terntable", "--path", str(tmp_path / "jupyter"), *options)
    found = {path.name: path.read_text() for path in (tmp_path / "jupyter" / "terntable").iterdir()}
    assert found == NOTEBOOKS and len(found) == 4


def test_get_notebooks_lists(monkeypatch, capsys):
    deliver(monkeypatch, "--list")
    assert "- terntable (source: terntable)" in capsys.readouterr().out


def test_no_bitstream_is_shipped():
    folder = Path(overlays.__path__[0])
    assert ExtensionsManager("pynq.overlays").paths == [str(folder)]
    assert not [path for path in folder.rglob("*") if path.suffix in (".bit", ".hwh", ".xsa")]
    with pytest.raises(InputError, match=r"no bitstream at terntable_kv260.bit, nor in .*make bitstream BOARD=NAME"):
        find_bitstream("terntable_kv260.bit")


def test_overlay_by_name(board, bitfile, monkeypatch, tmp_path):
    """A bitstream that somebody put into the folder of overlays, from any working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(overlays, "__path__", [str(bitfile.parent)])
    monkeypatch.setattr(overlays, "FOLDER", bitfile.parent)
    assert pynq.Overlay(bitfile.name).terntable_0.read_register("ident") == IDENT
    assert find_bitstream(bitfile.name) == find_bitstream(bitfile) == bitfile


def test_what_pip_installs():
    """On a board: nothing of the simulator, and a NumPy that PYNQ can use."""
    assert metadata("terntable")["Requires-Python"] == ">=3.10"
    wanted: dict[str, set[str]] = {}
    for line in requires("terntable"):
        package, extra = re.match(r"[\w-]+", line)[0], re.search(r"extra == [\"'](\w+)", line)
        wanted.setdefault(extra[1] if extra else "", set()).add(package)
    assert wanted[""] == {"numpy", "safetensors", "tokenizers", "tqdm"}
    assert wanted["pynq"] == {"numpy", "pynq"}
