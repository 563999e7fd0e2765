"""What passed between host and board, played again without one. `python -m tests.board.test_recording` records the kept file."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from terntable.host.devices.pynq_board import PynqDevice
from terntable.host.devices.recording import RecordingDevice, ReplayDevice
from terntable.host.errors import DeviceError, DeviceFault, DeviceTimeout
from terntable.host.session import Session
from terntable.hw.spec.program import Fault
from tests.board.conftest import PROMPT, TOKENS

KEPT = Path(__file__).parent / "recordings" / "fault.jsonl"
AGAIN = "the registers or what the host does with them changed; record it again with python -m tests.board.test_recording"


def scenario(device):
    """Identity, a transfer each way, a pass that ends at once, one that stops with a fault, a reset. Gives what was seen."""
    device.check_identity()
    buffer = device.allocate(4096)
    # A program of zeros is END.
    buffer[64:128] = np.arange(64)
    buffer.flush()
    buffer.invalidate()
    seen = [int(buffer.sum())]
    rows = device.allocate((2, 64))
    rows.flush()
    for name, value in (("rows", 1), ("watchdog", 100_000), ("program_base", buffer.device_address),
                        ("rows_base", rows.device_address), ("stream_words", 0), ("head_words", 0)):
        device.write_register(name, value)
    device.start()
    device.wait(deadline_seconds=5)
    buffer[0] = 77
    buffer.flush()
    device.start()
    with pytest.raises(DeviceFault) as caught:
        device.wait(deadline_seconds=5)
    seen += [int(caught.value.cause), caught.value.index, device.counters()["descriptors"]]
    device.reset()
    for each in (buffer, rows):
        each.freebuffer()
    device.close()
    return seen


def test_kept_recording():
    """A sequence of a simulated board, from the file in the repository."""
    try:
        device = ReplayDevice(KEPT)
        seen = scenario(device)
    except DeviceError as error:
        raise AssertionError(f"{error}: {AGAIN}") from error
    assert seen == [2016, Fault.BAD_DESCRIPTOR, 0, 0] and device.finished


def test_a_generation_is_played_again(board, bitfile, program, expected, tmp_path):
    file = tmp_path / "generation.jsonl"
    with RecordingDevice(PynqDevice(program.config, bitfile=bitfile), file) as device:
        with Session(device, program) as session:
            assert "".join(session.generate(PROMPT, TOKENS)) == expected
    with ReplayDevice(file) as replay:
        with Session(replay, program) as session:
            assert "".join(session.generate(PROMPT, TOKENS)) == expected
        assert (replay.name, replay.clock_hz) == ("pynq", 249_997_500)
    assert replay.finished
    # Weights are known already, so they are not in the file.
    assert file.stat().st_size < 40_000


def test_another_prompt_is_another_sequence(board, bitfile, program, tmp_path):
    file = tmp_path / "generation.jsonl"
    with RecordingDevice(PynqDevice(program.config, bitfile=bitfile), file) as device, Session(device, program) as session:
        session.prefill([5, 6])
    with Session(ReplayDevice(file), program) as session:
        with pytest.raises(DeviceError, match=r"generation.jsonl, line \d+: the host did {'op': 'flush', .*, but the rec"):
            session.prefill([5, 7])
        session.runner._buffers, session._owns_program = [], False


def test_a_timeout_is_played_again(board, bitfile, program, tmp_path, monkeypatch):
    file = tmp_path / "late.jsonl"
    inner = PynqDevice(program.config, bitfile=bitfile, deadline_seconds=0.1)
    monkeypatch.setattr(inner, "start", lambda: None)
    with RecordingDevice(inner, file) as device:
        with pytest.raises(DeviceTimeout):
            device.wait()
    with ReplayDevice(file) as replay, pytest.raises(DeviceTimeout, match="within 0.1 seconds"):
        replay.wait()


@pytest.mark.parametrize("text", ["", "{}", "no json"])
def test_not_a_recording(tmp_path, text):
    (tmp_path / "x.jsonl").write_text(text)
    with pytest.raises(DeviceError, match=re.escape("x.jsonl is not a recording of a device")):
        ReplayDevice(tmp_path / "x.jsonl")


def record() -> None:
    """Make the kept file anew, on the simulated board."""
    import tempfile

    from terntable.host.board.simulated import write_simulation_overlay
    from terntable.hw.spec.config import preset
    from terntable.sim.pynq_device import SimulatedBoard

    config = preset("nano")
    with tempfile.TemporaryDirectory() as folder, SimulatedBoard(config, memory_bytes=1 << 20).active():
        KEPT.parent.mkdir(exist_ok=True)
        device = PynqDevice(config, bitfile=write_simulation_overlay(Path(folder), config))
        print(scenario(RecordingDevice(device, KEPT)), file=sys.stderr)


if __name__ == "__main__":
    record()
