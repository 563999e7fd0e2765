"""Registers, faults and identity of devices; what a checked session finds."""

import numpy as np
import pytest

from terntable.host.checked import CheckedSession, Mismatch
from terntable.host.devices.golden import GoldenDevice
from terntable.host.devices.opening import open_device
from terntable.host.errors import DeviceError, DeviceFault, DeviceTimeout, InputError
from terntable.host.loaded import memory_needed
from terntable.hw.spec.config import preset
from terntable.hw.spec.program import Fault
from terntable.hw.spec.registers import VERSION


@pytest.fixture
def device():
    return GoldenDevice(preset("nano"), memory_bytes=1 << 16)


def test_identity_is_checked():
    class Other(GoldenDevice):
        def read_register(self, name):
            return 0x02020803 if name == "geometry" else super().read_register(name)

    with pytest.raises(DeviceError,
                       match="reads geometry 0x2020803, but preset nano of this version has 0x4021003"):
        Other(preset("nano"), memory_bytes=1 << 16)


def test_registers(device):
    device.write_register("kv_base", 1 << 40)
    assert device.read_register("kv_base") == 1 << 40
    device.write_register("version", 9)
    assert device.read_register("version") == VERSION
    with pytest.raises(ValueError, match="Register rows has 32 bits, 0x100000000 does not fit"):
        device.write_register("rows", 1 << 32)
    with pytest.raises(KeyError):
        device.read_register("nothing")


def test_a_fault_is_in_the_registers_until_a_reset(device):
    device.write_register("rows", 4)
    device.start()
    with pytest.raises(DeviceFault, match="descriptor 0 with BAD_ROW, a row record is malformed"):
        device.wait()
    assert device.read_register("fault_cause") == Fault.BAD_ROW
    device.reset()
    assert device.read_register("status") == device.read_register("fault_cause") == 0


def test_a_pass_that_never_ends_is_a_timeout(device):
    with pytest.raises(DeviceTimeout, match="golden did not finish a pass within 10 cycles"):
        device.wait(deadline_cycles=10)
    with pytest.raises(DeviceTimeout, match="within 1 seconds"):
        device.wait(deadline_seconds=1)


def test_an_unknown_cause_is_still_a_sentence():
    assert str(DeviceFault(99, 5)) == "The pass stopped at descriptor 5 with the unknown cause 99"


def test_unknown_devices_are_refused():
    with pytest.raises(InputError, match="Unknown device 'moon'; known: golden, sim"):
        open_device("moon", preset("nano"), memory_bytes=1 << 16)


class Wrong(GoldenDevice):
    """A device that flips a bit of a buffer after each pass with a token of 90."""

    register, offset = "kv_base", 0

    def start(self):
        super().start()
        rows = self.machine.rows
        if (rows["token"] == 90).any():
            self.machine.memory[self.read_register(self.register) + self.offset] ^= 1


def region(program, layer, kind, slot, byte):
    """Offset of a byte in the cache."""
    kv = program.kv
    start, step = {"key": (0, kv.beat_bytes), "value": (kv.planes * kv.plane_stride, kv.beat_bytes),
                   "scales": (kv.scales_offset, kv.entry)}[kind]
    return kv.offset(layer, 0) + start + slot * step + byte


@pytest.mark.parametrize(("register", "place", "sentence"), [
    ("kv_base", (0, "key", 2, 5),
     "pass 2 .1 rows from slot 2.: column 5 of the key, head 0, slot 2 of layer 0 .* after the embedding"),
    ("kv_base", (1, "value", 2, 11),
     "column 11 of the value, head 0, slot 2 of layer 1 .* after layer 0's attention"),
    ("kv_base", (1, "scales", 2, 3), "the key's scale, head 0, slot 2 of layer 1.* made by the quantisation scale"),
    ("kv_base", (1, "scales", 1, 4), "the value's scale, head 0, slot 1 of layer 1.* made by the quantisation scale"),
    ("kv_base", (0, "value", 1, 13),
     "the padding of the value, slot 1 of layer 0 is 0x01 instead of 0x00"),
    ("logits_base", 4 * 96 + 3, r"logits\[96\] of result row 0 is .* made by the last norm, the head"),
    ("result_base", 8, r"top\[1\] of result row 0 is .* made by the head or top-k"),
])
def test_a_difference_is_named_by_unit(program, register, place, sentence):
    device = Wrong(program.config, memory_bytes=memory_needed(program))
    device.register = register
    device.offset = region(program, *place) if isinstance(place, tuple) else place
    with CheckedSession(device, program) as session:
        session.prefill([5, 6])
        assert session.passes == 1
        with pytest.raises(Mismatch, match=sentence):
            session.decode(90, logits=True)


def test_a_difference_in_counters_is_found(program):
    class Greedy(GoldenDevice):
        def counters(self):
            counted = super().counters()
            return counted | {"read_bytes": counted["read_bytes"] + 16}

    with CheckedSession(Greedy(program.config, memory_bytes=memory_needed(program)), program) as session:
        with pytest.raises(Mismatch, match="counter read_bytes is .* instead of"):
            session.prefill([5])


def test_equal_devices_pass_every_check(program):
    with CheckedSession(GoldenDevice(program.config, memory_bytes=memory_needed(program)),
                        program) as session:
        session.prefill(np.arange(2, 7), logits=True)
        session.verify([7, 8, 9], [-1, -1, 1])
        session.commit([1, 2])
        session.prefill(embeddings=np.ones((1, 36), np.float32))
        assert session.passes == 5 and session.length == 8
