"""Through PYNQ.remote: a process with unmodified PYNQ drives a server on loopback that plays the board."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pynq
import pytest

from tests.board.conftest import MEMORY, PROMPT, TOKENS

#: PYNQ chooses its devices when it is imported, so each session is a process.
OPENED = """
import sys
from terntable.host import Session
import terntable.host.board.overlay as overlay
from terntable.host.errors import DeviceError
try:
    overlay.REMOTE_SECONDS = 3.0
    with Session.open("pynq", bitfile=sys.argv[1], model=sys.argv[2]) as session:
        assert not session.device.has_interrupt
        {body}
except DeviceError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def address():
    """An address of loopback that no other test process has."""
    number = os.getpid()
    return f"127.1.{number >> 8 & 255}.{max(number & 255, 1)}"


@pytest.fixture
def server(program, address):
    from terntable.sim.pynq_server import PynqServer

    with PynqServer(program.config, memory_bytes=MEMORY, address=address) as server:
        yield server


@pytest.fixture
def remotely(tmp_path, bitfile, checkpoint, address):
    """Runs a session's body in a process, with a copy of PYNQ: it keeps what it knows of a board in its own folder."""
    unneeded = shutil.ignore_patterns("__pycache__", "notebooks", "tests")
    shutil.copytree(Path(pynq.__file__).parent, tmp_path / "pynq", ignore=unneeded)
    told = {"PYNQ_REMOTE_DEVICES": address, "TERNTABLE_BUILD": str(tmp_path)}

    def run(body):
        path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
        done = subprocess.run([sys.executable, "-W", "ignore", "-c", OPENED.format(body=body), str(bitfile), str(checkpoint)],
                              capture_output=True, text=True, timeout=60, cwd=tmp_path,
                              env=os.environ | told | {"PYTHONPATH": path})
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_text_is_the_golden_models(server, remotely, expected, tmp_path):
    installed = Path(pynq.__file__).parent / "pl_server"
    before = {file.name for file in installed.iterdir()}
    assert remotely(f"print(''.join(session.generate({PROMPT!r}, {TOKENS})), end='')") == expected
    assert server.contiguous.free_bytes == MEMORY
    assert (tmp_path / "pynq" / "pl_server" / "_current_metadata.pkl").exists()
    assert {file.name for file in installed.iterdir()} == before


def test_memory_used_up(server, remotely):
    said = remotely(f"session.device.allocate({MEMORY})")
    assert said.startswith(f"DeviceError A buffer of {MEMORY:,} bytes does not fit: {MEMORY:,} of its {MEMORY:,} bytes")


def test_a_server_that_hangs(server, remotely, monkeypatch):
    """It opens, and then no register is answered any more."""
    read, flag = server.bus.read, server.contiguous.free

    def slow(address):
        import time

        time.sleep(6 if hung else 0)
        return read(address)

    hung = []
    monkeypatch.setattr(server.bus, "read", slow)
    monkeypatch.setattr(server.contiguous, "free", lambda place: (hung.append(1), flag(place)))
    said = remotely("session.device.allocate(100).freebuffer(); session.prefill([5])")
    assert said.startswith("DeviceTimeout Reading register status was not answered within 3 seconds")


def test_nobody_listens(remotely):
    assert remotely("pass").startswith("DeviceError PYNQ finds no board (Failed to connect to remote device)")
