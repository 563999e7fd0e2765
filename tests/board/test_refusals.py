"""What a board, its bitstream, its clock and its memory may get wrong, each refused in a sentence that says what to do."""

import re
import shutil

import pynq
import pytest

from terntable.host.board.bitfile import preset_of
from terntable.host.board.contiguous import contiguous_memory
from terntable.host.board.hwh import simulation_hwh
from terntable.host.devices.pynq_board import PynqDevice
from terntable.host.errors import DeviceError, InputError
from terntable.host.loaded import LoadedProgram
from terntable.host.session import Session
from terntable.hw.spec.config import preset
from terntable.hw.spec.registers import VERSION


def altered(bitfile, folder, change):
    """A copy of the overlay whose handoff is changed by a function of its text."""
    copy = folder / bitfile.name
    shutil.copy(bitfile, copy)
    copy.with_suffix(".hwh").write_text(change(bitfile.with_suffix(".hwh").read_text()))
    return copy


def meminfo(folder, total, free):
    file = folder / "meminfo"
    file.write_text(f"MemTotal:        4000000 kB\nCmaTotal:  {total} kB\nCmaFree:   {free} kB\n")
    return file


def test_no_board(bitfile, program, monkeypatch):
    def nothing(cls):
        raise RuntimeError("No Devices Found")

    monkeypatch.setattr(type(pynq.Device), "active_device", property(nothing))
    with pytest.raises(DeviceError, match=r"PYNQ finds no board \(No Devices Found\): run on one, as root .*PYNQ_REMOTE_DEVICES"):
        PynqDevice(program.config, bitfile=bitfile)


@pytest.mark.parametrize(("name", "sentence"), [
    ("absent.bit", "There is no bitstream at .*absent.bit"),
    ("alone.bit", "alone.bit has no alone.hwh beside it, which says where its registers are"),
    ("broken.bit", "broken.hwh cannot be read: "),
])
def test_files(board, program, tmp_path, name, sentence):
    for stem in ("alone", "broken"):
        (tmp_path / f"{stem}.bit").touch()
    (tmp_path / "broken.hwh").write_text("<EDKSYSTEM>")
    with pytest.raises(DeviceError, match=sentence):
        PynqDevice(program.config, bitfile=tmp_path / name)


@pytest.mark.parametrize(("change", "sentence"), [
    (lambda text: re.sub(r"(terntable:\w+:terntable):[\d.]+", r"\1:0.9", text),
     "terntable:accelerator:terntable:0.9, another release than the terntable:accelerator:terntable:[0-9.]+ that this version"),
    (lambda text: text.replace(":terntable:", ":other:"), "no terntable:accelerator:terntable:.*, but .*zynq_ultra_ps_e"),
])
def test_another_core(board, bitfile, program, tmp_path, change, sentence):
    with pytest.raises(DeviceError, match=sentence):
        PynqDevice(program.config, bitfile=altered(bitfile, tmp_path, change))


@pytest.mark.parametrize(("register", "value", "sentence"), [
    ("ident", 0, "reads ident 0x0, but preset nano of this version has 0x5445524e"),
    ("version", VERSION - 1, f"reads version {VERSION - 1:#x}, but preset nano of this version has {VERSION:#x}"),
    ("geometry", 0x02020803, "reads geometry 0x2020803, but preset nano"),
])
def test_another_bitstream(board, bitfile, program, monkeypatch, register, value, sentence):
    """An older, a newer or a foreign bitstream tells by its registers."""
    from terntable.host.board.driver import TerntableIP

    read = TerntableIP.read_register
    monkeypatch.setattr(TerntableIP, "read_register", lambda self, name: value if name == register else read(self, name))
    with pytest.raises(DeviceError, match=sentence):
        PynqDevice(program.config, bitfile=bitfile)


def test_clock_is_set_and_read_back(board, bitfile, program):
    device = PynqDevice(program.config, bitfile=bitfile, clock_hz=187_500_000)
    assert device.clock_hz == pytest.approx(187.5e6, rel=1e-3) and pynq.Clocks.fclk0_mhz == pytest.approx(187.5, rel=1e-3)


def test_clock_that_the_processor_does_not_take(board, bitfile, program, monkeypatch):
    """The first silent trap: the fabric stays at 100 MHz, and everything works, slowly."""
    write = board.bus.write
    monkeypatch.setattr(board.bus, "write", lambda address, value: None if address == 0xFF5E00C0 else write(address, value))
    board.bus._words[0xFF5E00C0] = 1 << 24 | 1 << 16 | 15 << 8
    with pytest.raises(DeviceError, match="should run at 250 MHz, but clock 0 of the processor gives 99.99.* MHz: .*--clock-mhz"):
        PynqDevice(program.config, bitfile=bitfile)


@pytest.mark.parametrize(("hertz", "sentence"), [
    ("200000000", "should run at 250 MHz, but the clock wizard of the bitstream gives 200 MHz"),
    ("", "does not say what clock drives terntable_0, so it cannot be checked"),
])
def test_clock_of_a_wizard(board, bitfile, program, tmp_path, hertz, sentence):
    """Between processor and core, the frequency is the design's."""
    def change(text):
        return text.replace('<PORT DIR="I" NAME="clk" SIGIS="clk">', f'<PORT DIR="I" NAME="clk" SIGIS="clk" CLKFREQUENCY="{hertz}">'
                            ).replace('<CONNECTION INSTANCE="zynq_ps" PORT="pl_clk0" />', "", 1)

    with pytest.raises(DeviceError, match=sentence):
        PynqDevice(program.config, bitfile=altered(bitfile, tmp_path, change))
    if hertz:
        assert PynqDevice(program.config, bitfile=altered(bitfile, tmp_path, change), clock_hz=200_000_000).clock_hz == 200_000_000


def test_contiguous_memory_too_small(board, bitfile, program, tmp_path):
    """The second silent trap, found before anything is loaded."""
    with pytest.raises(DeviceError, match=r"The model needs 300,000,000 bytes of contiguous memory, but Linux has 268,435,456 in "
                                          r"all: boot with cma=384M, see docs/board.md"):
        PynqDevice(program.config, bitfile=bitfile, memory_bytes=300_000_000, meminfo=meminfo(tmp_path, 262144, 1024))


def test_contiguous_memory_used_up(board, bitfile, program, tmp_path):
    device = PynqDevice(program.config, bitfile=bitfile, memory_bytes=5_000_000, meminfo=meminfo(tmp_path, 262144, 1024))
    with pytest.raises(DeviceError, match=r"A buffer of 9,000,000 bytes does not fit: 1,048,576 of its 268,435,456 bytes of "
                                          r"contiguous memory are free, and the model needs 5,000,000 in all. .* cma=128M"):
        device.allocate(9_000_000)
    free = board.contiguous.free_bytes
    with device.allocate(1000):
        assert board.contiguous.free_bytes < free
    assert board.contiguous.free_bytes == free


def test_meminfo_without_contiguous_memory():
    assert contiguous_memory("MemTotal: 1 kB\n") is None
    assert contiguous_memory("CmaTotal:   1024 kB\nCmaFree: 512 kB\n") == (1 << 20, 1 << 19)


@pytest.mark.parametrize(("address", "reached"), [
    (0x7FFE_0000, True), (0x8_0000_0000, True), (0x8_7FF0_0000, True), (0x8000_0000, False), (0x9_0000_0000, False),
])
def test_buffers_above_four_gigabytes(board, bitfile, program, monkeypatch, address, reached):
    """Registers have 64 bits, so only what the ports of the processor do not reach is refused."""
    device = PynqDevice(program.config, bitfile=bitfile)
    allocate = board.contiguous.allocate
    monkeypatch.setattr(board.contiguous, "allocate", lambda count: allocate(count) and address)
    monkeypatch.setattr(board.contiguous, "flush", lambda address, cached: None)
    if reached:
        assert device.allocate(100).device_address >= address
    else:
        with pytest.raises(DeviceError, match=f"Linux gave a buffer of 100 bytes at {address:#x}.* but the memory ports of "
                                              r"terntable_nano.bit reach 0x0 to 0x7fffffff, 0x800000000 to 0x87fffffff"):
            device.allocate(100)


def test_memory_that_forgets(board, bitfile, program, monkeypatch):
    device = PynqDevice(program.config, bitfile=bitfile)
    flush = board.contiguous.flush

    def forgetful(address, cached):
        flush(address, cached)
        # A byte of the stream, and of what no buffer uses around the others.
        board.contiguous.memory[address - board.contiguous.base + (48 << 10) + 1000] ^= 4

    monkeypatch.setattr(board.contiguous, "flush", forgetful)
    with pytest.raises(DeviceError, match="stream was loaded with checksum 0x[0-9a-f]{8}, but reads back with 0x[0-9a-f]{8}"):
        LoadedProgram(device, program)


def test_preset_of_a_name():
    assert preset_of("terntable_kv260.bit") == "kv260" == preset_of("/boot/kr260-2026.bit")
    assert preset_of("terntable_zcu104_v2.bit") == "zcu104"


def test_preset_of_a_geometry(board, bitfile, tmp_path):
    copy = tmp_path / "mine.bit"
    shutil.copy(bitfile, copy)
    shutil.copy(bitfile.with_suffix(".hwh"), copy.with_suffix(".hwh"))
    assert preset_of(copy) == "nano"


def test_preset_of_several(board, bitfile, tmp_path, monkeypatch):
    from terntable.host.board.overlay import OpenedOverlay
    from terntable.hw.spec.registers import geometry_of

    copy = tmp_path / "mine.bit"
    shutil.copy(bitfile, copy)
    copy.with_suffix(".hwh").write_text(simulation_hwh(preset("kv260")))
    monkeypatch.setattr(OpenedOverlay, "read", lambda self, name: geometry_of(preset("kv260"))[name])
    with pytest.raises(InputError, match="mine.bit reads geometry .*, the geometry of kv260, zcu104: name one with --preset"):
        preset_of(copy)


def test_a_session_without_a_bitstream():
    with pytest.raises(InputError, match="Device pynq needs the bitstream to load: --bitfile FILE"):
        Session.open("pynq", model="no matter which")
