"""One compiled tiny model and one golden device for the tests of the host."""

import pytest

from terntable.host.compiler import compile_directory
from terntable.host.devices.golden import GoldenDevice
from terntable.host.loaded import LoadedProgram, memory_needed
from terntable.host.session import Session
from terntable.hw.spec.config import preset
from tests.host.tiny_checkpoint import write_checkpoint


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """Directory of the odd little model."""
    return write_checkpoint(tmp_path_factory.mktemp("models") / "odd")


@pytest.fixture(scope="session")
def program(checkpoint):
    """The model, compiled for `nano`."""
    return compile_directory(checkpoint, preset("nano"))


@pytest.fixture(scope="session")
def loaded(program):
    """The program in a golden device's memory."""
    return LoadedProgram(GoldenDevice(program.config, memory_bytes=memory_needed(program, sessions=3)),
                         program)


@pytest.fixture
def session(loaded, program):
    """A fresh sequence."""
    with Session(loaded.device, program, loaded=loaded) as opened:
        yield opened


@pytest.fixture(autouse=True)
def own_build_folder(tmp_path, monkeypatch):
    """Keep compiled models out of the checkout."""
    monkeypatch.setenv("TERNTABLE_BUILD", str(tmp_path / "build"))
