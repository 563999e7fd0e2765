"""`terntable project` when something is missing, and against a program that plays Vivado."""

import stat
from pathlib import Path

import pytest

from terntable.host.board.boards import BOARDS
from terntable.host.board.build_tcl import products
from terntable.host.cli import main
from terntable.host.commands import project as command

PRODUCTS = products(BOARDS["kv260"])

#: Takes the arguments that Vivado gets, and does what MAKES, SAYS and STATUS tell.
PLAYER = """#!/bin/sh
[ "$*" = "-mode batch -nojournal -log vivado.log -source build.tcl" ] || {{ echo "ERROR: bad arguments $*"; exit 9; }}
[ -f build.tcl ] || {{ echo "ERROR: no build.tcl here"; exit 8; }}
echo "terntable: synthesis"
{says}
for file in {makes}; do touch "$file"; done
exit {status}
"""


@pytest.fixture
def written(monkeypatch, tmp_path):
    """A folder in which a project is there at once."""
    def write(config, board, folder):
        folder.mkdir(exist_ok=True)
        (folder / "build.tcl").write_text("")
        yield folder / "build.tcl"

    monkeypatch.setattr(command, "write_project", write)
    return tmp_path / "build"


def run(folder: Path, *more: str) -> int:
    return main(["project", "--board", "kv260", "--output", str(folder), *more])


def play(monkeypatch, folder: Path, *, says: str = "", makes: tuple[str, ...] = PRODUCTS, status: int = 0) -> None:
    folder.mkdir()
    program = folder / "vivado"
    program.write_text(PLAYER.format(says=says, makes=" ".join(makes), status=status))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_unknown_board(capsys):
    assert main(["project", "--board", "pynq-z2"]) == 2
    assert capsys.readouterr().err == "terntable project: Unknown board 'pynq-z2'; known: kr260, kv260, zcu104\n"


def test_unknown_preset(capsys):
    assert main(["project", "--board", "kv260", "--preset", "huge"]) == 2
    assert "Unknown preset 'huge'" in capsys.readouterr().err


def test_preset_that_does_not_fit(capsys, tmp_path, monkeypatch):
    wide = command.chosen_preset("nano")
    monkeypatch.setattr(command, "chosen_preset", lambda name: type(wide)(name="wide", beat_bytes=32))
    assert run(tmp_path / "build", "--preset", "wide") == 2
    assert "128 bits wide, and those of wide are 256" in capsys.readouterr().err
    assert not (tmp_path / "build").exists()


def test_without_vivado(written, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "/nowhere")
    assert run(written, "--bitstream") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("terntable project: Vivado is not on PATH")
    assert "xck26" in error and f"vivado -mode batch -source {written / 'build.tcl'}" in error
    assert (written / "build.tcl").exists()


def test_without_vivado_the_project_alone_is_no_error(written, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "/nowhere")
    assert run(written) == 0
    assert capsys.readouterr().out == f"{written / 'build.tcl'}\n"


@pytest.mark.parametrize("slack,sentence", [("0.25", "It meets 250 MHz: worst slack 0.25 ns, so 266.7 MHz at most"),
                                            ("-1", "It does not meet 250 MHz: worst slack -1 ns, so 200 MHz at most")])
def test_bitstream(written, monkeypatch, capsys, tmp_path, slack, sentence):
    play(monkeypatch, tmp_path / "bin", says=f'echo "terntable: worst slack {slack}"')
    assert run(written, "--bitstream") == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1:] == [*(str(written / name) for name in PRODUCTS), sentence]
    assert err.splitlines()[-1] == "synthesis"


@pytest.mark.parametrize("behaviour,message", [
    ({"says": "echo 'ERROR: [Place 30-487] too many'", "status": 1}, "status 1: ERROR: [Place 30-487] too many"),
    ({"says": "echo 'terntable: worst slack 0.1'", "makes": ("terntable_kv260.bit",)}, "terntable_kv260.hwh, terntable_kv260.xsa"),
    ({}, "no timing was reported")])
def test_vivado_fails(written, monkeypatch, capsys, tmp_path, behaviour, message):
    play(monkeypatch, tmp_path / "bin", **behaviour)
    assert run(written, "--bitstream") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert message in error and error.endswith(f"see {written / 'vivado.log'}")


def test_products_of_an_earlier_run_do_not_count(written, monkeypatch, capsys, tmp_path):
    written.mkdir()
    for name in PRODUCTS:
        (written / name).write_text("old")
    play(monkeypatch, tmp_path / "bin", says="echo 'terntable: worst slack 0.1'", makes=())
    assert run(written, "--bitstream") == 2
    assert "terntable_kv260.bit" in capsys.readouterr().err
