"""From `Overlay(...)` to text: unmodified PYNQ drives the Verilated accelerator, and the text is the golden model's."""

import asyncio
import json
from importlib.metadata import entry_points

import numpy as np
import pynq
import pytest

from terntable.host.board.driver import TerntableIP
from terntable.host.checked import CheckedSession
from terntable.host.cli import main
from terntable.host.devices.pynq_board import PynqDevice
from terntable.host.devices.recording import ReplayDevice
from terntable.host.models import load_program
from terntable.host.session import Session
from terntable.hw.spec.registers import IDENT, VERSION
from tests.board.conftest import PROMPT, TOKENS


def test_session_from_an_overlay(board, bitfile, checkpoint, expected):
    """The example of the documents; the preset is in the bitstream's name."""
    said = []
    with Session.open("pynq", bitfile=bitfile, model=str(checkpoint), progress=said.append) as session:
        assert session.program.config.name == "nano"
        assert "".join(session.generate(PROMPT, max_tokens=TOKENS)) == expected
        assert session.device.has_interrupt
    assert "nano at 249.998 MHz, interrupt" in said and any("Loading stream" in line for line in said)
    assert board.contiguous.free_bytes == len(board.contiguous.memory)


@pytest.mark.parametrize("interrupt", [True, False])
def test_every_byte_is_the_golden_models(board, bitfile, program, interrupt):
    """Prefill, decode, a tree, a commit that moves rows, full logits and input vectors."""
    with CheckedSession(PynqDevice(program.config, bitfile=bitfile, interrupt=interrupt), program) as session:
        session.prefill(np.arange(2, 7), logits=True)
        session.verify([7, 8, 9], [-1, -1, 1])
        session.commit([1, 2])
        session.prefill(embeddings=np.ones((1, 36), np.float32))
        assert session.passes == 5 and session.device.has_interrupt is interrupt


def test_in_a_notebook(board, bitfile, program, expected):
    """There, an event loop runs already in the thread that calls."""
    async def cell():
        with Session(PynqDevice(program.config, bitfile=bitfile), program) as session:
            return "".join(session.generate(PROMPT, TOKENS)), session.device.has_interrupt

    assert asyncio.run(cell()) == (expected, True)


def test_a_forgotten_flush_shows(board, bitfile, program, monkeypatch):
    """The board's memory and the host's cache are two copies, as on a board."""
    with Session(PynqDevice(program.config, bitfile=bitfile), program) as session:
        wanted = session.prefill([5, 6]).best
        session.rollback(0)
        session.runner._results[:] = 0
        monkeypatch.setattr(type(session.runner._results), "invalidate", lambda self: None)
        assert (session.prefill([5, 6]).best != wanted).all()


def test_bases_are_staggered(board, bitfile, program):
    with Session(PynqDevice(program.config, bitfile=bitfile), program) as session:
        bases = [*session.loaded.address.values(), session.runner.kv.device_address, session.runner._rows.device_address]
        assert len({base % (1 << 16) for base in bases}) == len(bases)
        assert not any(base % 4096 for base in bases)


def test_driver_of_a_plain_overlay(board, bitfile, program):
    """What a PYNQ user does by hand: the driver is bound, and the register map has names."""
    overlay = pynq.Overlay(str(bitfile))
    core = overlay.terntable_0
    assert isinstance(core, TerntableIP)
    assert core.read_register("ident") == IDENT and core.register_map.version.value == VERSION
    assert core.register_map.geometry.rows == program.config.rows
    core.register_map.rows = 2
    core.write_register("kv_base", 0x8_1234_5000)
    assert core.read_register("rows") == 2 and core.read_register("kv_base") == 0x8_1234_5000
    assert "status = Register(busy=0" in repr(core.register_map)
    with pytest.raises(ValueError, match="Register rows has 32 bits, 0x100000000 does not fit"):
        core.write_register("rows", 1 << 32)


def test_any_overlay_finds_the_driver():
    """PYNQ imports what is registered here before it binds drivers."""
    registered = {point.name: point for point in entry_points(group="pynq.lib")}
    assert registered["terntable"].load().TerntableIP is TerntableIP


def test_command_line(board, bitfile, checkpoint, expected, capsys, tmp_path):
    assert main(["generate", "--model", str(checkpoint), "--device", "pynq", "--bitfile", str(bitfile), "--prompt", PROMPT,
                 "--max-tokens", str(TOKENS), "--json", "--check", "--record", str(tmp_path / "board.jsonl")]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["text"] == expected and result["device"] == "pynq" and result["equal_to_golden"]
    with ReplayDevice(tmp_path / "board.jsonl") as replay, CheckedSession(replay, load_program(str(checkpoint), "nano")) as session:
        assert "".join(session.generate(PROMPT, TOKENS)) == expected
    assert result["clock_hz"] == 249_997_500 and result["cycles"] > 1000
