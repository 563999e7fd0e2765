"""A simulated board under unmodified PYNQ, and a small model for it."""

import pytest

from terntable.host.board.simulated import write_simulation_overlay
from terntable.host.devices.golden import GoldenDevice
from terntable.host.loaded import memory_needed
from terntable.host.session import Session
from tests.host.conftest import checkpoint, program

__all__ = ["bitfile", "board", "cache", "checkpoint", "expected", "program"]

#: Contiguous memory of the simulated board, generous for one session.
MEMORY = 1 << 23
PROMPT, TOKENS = "In the", 6


@pytest.fixture(scope="session")
def expected(program):
    """What the golden device says after the prompt."""
    with Session(GoldenDevice(program.config, memory_bytes=memory_needed(program)), program) as session:
        return "".join(session.generate(PROMPT, TOKENS))


@pytest.fixture(scope="session")
def bitfile(tmp_path_factory, program):
    """A bitstream's stand-in, with the simulation's handoff beside it."""
    return write_simulation_overlay(tmp_path_factory.mktemp("overlay"), program.config)


@pytest.fixture(scope="module")
def board(program):
    """PYNQ's active device, with the Verilated accelerator in it."""
    from terntable.sim.pynq_device import SimulatedBoard

    with SimulatedBoard(program.config, memory_bytes=MEMORY).active() as board:
        yield board


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Compiled models go to a folder of the test; simulators stay where all tests share them."""
    monkeypatch.setattr("terntable.host.models.cache_folder", lambda: tmp_path)
