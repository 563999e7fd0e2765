"""Whatever stops a pass on a board ends in an error of its kind, within a deadline, and the next pass is right."""

import time

import numpy as np
import pytest

from terntable.host.board.background import within
from terntable.host.devices.pynq_board import PynqDevice
from terntable.host.errors import DeviceError, DeviceFault, DeviceTimeout
from terntable.host.session import Session
from terntable.hw.spec.program import Fault
from terntable.hw.spec.registers import STATUS_BUSY
from tests.board.conftest import PROMPT, TOKENS

TOKENS_IN = [5, 6]


@pytest.fixture
def device(board, bitfile, program):
    """The board."""
    return PynqDevice(program.config, bitfile=bitfile)


@pytest.fixture
def hasty(device, monkeypatch):
    """A deadline of a second for any pass, where none is to end; a busy machine needs longer for a real one."""
    monkeypatch.setattr(device, "_deadline", 1)


@pytest.fixture
def session(device, program, expected):
    """A session whose faults are mended afterwards; then it must say what the golden model says."""
    with Session(device, program) as opened:
        yield opened
        for part, buffer in opened.loaded._buffers.items():
            buffer[:] = getattr(program, part)
            buffer.flush()
        assert "".join(opened.generate(PROMPT, TOKENS)) == expected


def spoil(session, part, offset, value):
    buffer = session.loaded._buffers[part]
    buffer[offset] = value
    buffer.flush()


def read_error(session, simulator):
    base = session.loaded.address["embed"]
    simulator.fault(base, base + 4095)


def write_error(session, simulator):
    simulator.fault(session.runner._results.device_address, session.runner._results.device_address + 4095)


def bad_descriptor(session, simulator):
    spoil(session, "program", 0, 77)


def watchdog(session, simulator):
    # It waits for weights that never come.
    write = session.device.write_register
    session.device.write_register = lambda name, value: write(
        name, {"watchdog": 20_000, "stream_words": max(value - 1, 0), "head_words": 0}.get(name, value))


def numeric(session, simulator):
    offset = TOKENS_IN[0] * session.program.embed_stride
    buffer = session.loaded._buffers["embed"]
    buffer[offset:offset + 2] = np.array([np.nan], np.float16).view(np.uint8)
    buffer.flush()


def bad_weight(session, simulator):
    # Norm weights come first.
    spoil(session, "stream", 200, 250)


def bad_row(session, simulator):
    write = session.device.write_register
    session.device.write_register = lambda name, value: write(name, 99 if name == "rows" else value)


CAUSES = {Fault.READ_ERROR: read_error, Fault.WRITE_ERROR: write_error, Fault.BAD_DESCRIPTOR: bad_descriptor,
          Fault.WATCHDOG: watchdog, Fault.NUMERIC: numeric, Fault.BAD_WEIGHT: bad_weight, Fault.BAD_ROW: bad_row}


def test_every_cause_is_here():
    assert set(CAUSES) == set(Fault) - {Fault.NONE}


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.name)
def test_fault(board, session, cause):
    CAUSES[cause](session, board.bus.simulator)
    with pytest.raises(DeviceFault) as caught:
        session.prefill(TOKENS_IN)
    assert caught.value.cause is cause and session.length == 0
    vars(session.device).pop("write_register", None)
    board.bus.simulator.clear_faults()


def test_a_device_that_never_ends(board, session, hasty, monkeypatch):
    """It answers, but stays busy: the deadline counts, and the reset that follows."""
    look = session.device.read_register
    resets = []
    monkeypatch.setattr(session.device, "read_register", lambda name: 0 if resets and name == "status" else
                        STATUS_BUSY if name == "status" else look(name))
    reset = session.device.reset
    monkeypatch.setattr(session.device, "reset", lambda: (resets.append(1), reset()))
    start = time.monotonic()
    with pytest.raises(DeviceTimeout, match="pynq did not finish a pass within 1 seconds; its status is 0x1"):
        session.prefill(TOKENS_IN)
    assert time.monotonic() - start < 10 and resets and session.length == 0
    monkeypatch.undo()


def test_a_device_that_ends_late(board, session, monkeypatch):
    """A pass that still runs at its deadline is stopped, and does not disturb the one after it."""
    monkeypatch.setattr(session.device, "_deadline", 0)
    before = board.bus.simulator.counters.cycles
    with pytest.raises(DeviceTimeout, match="within 0 seconds; its status is 0x1"):
        session.prefill(TOKENS_IN)
    assert 0 < board.bus.simulator.counters.cycles - before < 5000
    assert session.device.read_register("status") == 0
    monkeypatch.undo()


@pytest.mark.parametrize("value", [0, 0xFFFF_FFFF])
def test_a_mute_device(session, hasty, monkeypatch, value):
    """A bus that nobody drives reads all zeros or all ones."""
    monkeypatch.setattr(session.device, "read_register", lambda name: value)
    with pytest.raises(DeviceTimeout if value == 0 else DeviceError, match="within 1 seconds" if value == 0 else "the bus or the"):
        session.prefill(TOKENS_IN)
    monkeypatch.undo()
    session.device.reset()


def test_an_interrupt_that_never_comes(board, session, expected, monkeypatch):
    """The first pass is a nap late; from then on the status is polled."""
    assert session.device.has_interrupt
    monkeypatch.setattr(type(board.bus), "interrupt", property(lambda self: False))
    assert "".join(session.generate(PROMPT, TOKENS)) == expected
    assert not session.device.has_interrupt


def test_a_board_without_interrupts(program, bitfile, expected):
    from terntable.sim.pynq_device import SimulatedBoard

    with SimulatedBoard(program.config, memory_bytes=1 << 23, interrupts=False).active():
        with pytest.warns(UserWarning, match="Interrupt interrupt not created"):
            device = PynqDevice(program.config, bitfile=bitfile)
        assert not device.has_interrupt
        with Session(device, program) as session:
            assert "".join(session.generate(PROMPT, TOKENS)) == expected


def test_a_bus_error_is_a_device_error(board, device):
    board.bus.core += 0x10000
    with pytest.raises(DeviceError, match="Reading register status failed: SimulatorError: Nothing answers at address 0xa0000004"):
        device.read_register("status")
    board.bus.core -= 0x10000


def test_closing_hides_no_error(board, bitfile, program):
    with pytest.raises(DeviceFault), PynqDevice(program.config, bitfile=bitfile):
        board.bus.core += 0x10000
        raise DeviceFault(int(Fault.NUMERIC), 3)
    board.bus.core -= 0x10000


def test_a_call_that_hangs():
    """As one over a network does."""
    with pytest.raises(DeviceTimeout, match="Reading register status was not answered within 0.05 seconds"):
        within(0.05, "Reading register status", lambda: time.sleep(0.5))
    assert within(1, "It", lambda: 3) == 3
    with pytest.raises(KeyError):
        within(1, "It", lambda: {}["absent"])
