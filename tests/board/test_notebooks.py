"""Every notebook runs from top to bottom on a simulated board, and stores nothing.

Its code cells run in one namespace within an event loop, which is what a kernel gives them, without the processes of one.
"""

import asyncio
import sys
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest

import terntable.host.board.notebooks
from terntable.host.board.notebook import board_or_simulation
from terntable.host.errors import InputError
from tests.board.conftest import MEMORY, PROMPT, TOKENS

FOLDER = Path(terntable.host.board.notebooks.__path__[0])
NAMES = ("counters_and_roofline", "decoding_methods", "first_tokens", "verify_and_rollback")


def read(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=nbformat.NO_CONVERT)


@contextmanager
def executed(name, **parameters):
    """What a notebook's cells have defined, the tagged cell's values replaced by `parameters` of the same names."""
    namespace = {"__name__": "__main__"}

    async def run():
        for cell in read(name).cells:
            if cell.cell_type == "code":
                exec(compile(cell.source, f"{name}, cell {cell.id}", "exec"), namespace)
                if "parameters" in cell.metadata.get("tags", ()):
                    assert "BITFILE" in namespace and namespace["BITFILE"] is None
                    namespace.update((key, value) for key, value in parameters.items() if key in namespace)

    try:
        asyncio.run(run())
        yield namespace
    finally:
        # Where a cell failed, the board is still open.
        if "opened" in namespace:
            namespace["opened"].close()


@pytest.fixture
def small(checkpoint):
    """Parameters of all notebooks for the little model on the little preset."""
    return {"PRESET": "nano", "MODEL": str(checkpoint), "PROMPT": PROMPT, "TOKENS": TOKENS, "CONTEXT": 4}


def test_these_are_all():
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_format(name):
    """Valid, of the format that Jupyter on a board reads, and as if never run."""
    notebook = read(name)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.cells[0].source.startswith("# ")
    for cell in notebook.cells:
        assert cell.source == cell.source.strip()
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None


@pytest.mark.parametrize("where", ["simulation", "board"])
def test_first_tokens(where, request, small, expected, capsys):
    """Without a bitstream the notebook simulates a board; with one it takes PYNQ's active device, which is simulated here."""
    if where == "board":
        request.getfixturevalue("board")
        small |= {"BITFILE": str(request.getfixturevalue("bitfile")), "PRESET": "none such"}
    with executed("first_tokens", **small) as found:
        assert found["text"] == found["expected"] == expected
    said = capsys.readouterr().out
    assert "Equal to the golden model" in said and "A simulated board; its clock is assumed - nano at 249.998 MHz" in said
    assert "TerntableIP" in said and "rows=3" in said


def test_counters_and_roofline(small, capsys):
    with executed("counters_and_roofline", **small) as found:
        passes, config = found["passes"], found["config"]
        for counters in passes.values():
            assert counters["passes"] == 1
            assert sum(counters[f"port{n}_bytes"] for n in range(4)) == counters["stream_bytes"] + counters["read_bytes"]
        ports = config.port_bytes * found["device"].clock_hz * config.ports / 1e9
        for intensity, speed, _ in found["points"]:
            assert 0 < speed < intensity * ports
        plot = found["plot"]
    assert plot.startswith("<svg") and "verify, 3 rows" in plot and "simulated RTL, clock assumed" in plot
    said = capsys.readouterr().out
    assert "cycles, doorbell to done" in said and "decode  port 1 #" in said


def test_verify_and_rollback(small, capsys):
    with executed("verify_and_rollback", **small) as found:
        assert found["kept"] == 2 and found["moved"]["cycles"] > 0
    assert "Equal, bit by bit" in capsys.readouterr().out


def test_mistakes(monkeypatch):
    with pytest.raises(InputError, match="Unknown preset 'big'"), board_or_simulation(preset_name="big", memory_bytes=MEMORY):
        pass
    monkeypatch.setitem(sys.modules, "terntable.sim.pynq_device", None)
    with pytest.raises(InputError, match="A simulated board needs .* On a board, name its bitstream"), board_or_simulation():
        pass


def test_decoding_methods(small, capsys):
    with executed("decoding_methods", **small | {"TOKENS": 6}) as found:
        results = found["results"]
        assert list(results) == list(found["METHODS"])
        assert all(result.tokens == results["greedy"].tokens for result in results.values())
        assert results["greedy"].ledger.tokens_per_forward == 1
    said = capsys.readouterr().out
    assert "tokens a pass" in said and "aded" in said
