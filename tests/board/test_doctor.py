"""What the doctor says of boards that are made up, and of this machine, which is none."""

import json

import pytest

from terntable.host.board.health import BAD, GOOD, UNKNOWN, WARNING, examine
from terntable.host.cli import main
from terntable.host.commands.doctor import MEND, NO_BOARD, READY


@pytest.fixture(autouse=True)
def as_root(monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.delenv("PYNQ_REMOTE_DEVICES", raising=False)


@pytest.fixture
def root(tmp_path):
    """/proc and /sys of a KV260 on which all is well."""
    files = {"proc/device-tree/model": "ZynqMP SMK-K26 Rev1\0", "sys/class/fpga_manager/fpga0/state": "operating",
             "proc/meminfo": "CmaTotal:    1048576 kB\nCmaFree:     1000000 kB\n", "proc/loadavg": "0.12 0.2 0.3 1/100 4\n",
             "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "performance\n",
             "sys/class/hwmon/hwmon0/name": "ina260_u14\n", "sys/class/hwmon/hwmon0/power1_input": "3480000\n"}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def found(root, name, **options):
    return next(finding for finding in examine(root=root, **options) if finding.name == name)


def test_all_is_well(root, board, bitfile):
    board.bus._words[0xFF5E00C0] = 1 << 24 | 1 << 16 | 6 << 8
    findings = examine(root=root, bitfile=bitfile)
    assert [finding.state for finding in findings] == [GOOD] * 10
    assert found(root, "machine").found == "ZynqMP SMK-K26 Rev1"
    assert found(root, "device").found == "simulated (SimulatedBoard)"
    assert found(root, "power sensor").found == "ina260_u14, 3.48 W now"
    assert found(root, "fabric clock", bitfile=bitfile).found == "249.998 MHz"


@pytest.mark.parametrize(("file", "text", "name", "state", "words"), [
    ("proc/meminfo", "CmaTotal: 262144 kB\nCmaFree: 1000 kB\n", "contiguous memory", WARNING, "add cma=640M to the kernel"),
    ("proc/meminfo", "CmaTotal: 1048576 kB\nCmaFree: 1000 kB\n", "contiguous memory", WARNING, "close other overlays"),
    ("proc/meminfo", "MemTotal: 5 kB\n", "contiguous memory", UNKNOWN, "boot with cma=1024M"),
    ("proc/loadavg", "1.75 1 1 1/1 1\n", "CPU noise", WARNING, "systemctl isolate multi-user.target"),
    ("proc/loadavg", "", "CPU noise", UNKNOWN, ""),
    ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "ondemand\n", "CPU governor", WARNING, "echo performance"),
    ("sys/class/hwmon/hwmon0/name", "ams\n", "power sensor", WARNING, "modprobe ina2xx"),
    ("sys/class/hwmon/hwmon0/power1_input", "?\n", "power sensor", WARNING, "modprobe -r"),
])
def test_what_is_not_well(root, board, file, text, name, state, words):
    assert found(root, name).state == GOOD
    (root / file).write_text(text)
    finding = found(root, name)
    assert finding.state == state and words in finding.advice


def test_memory_for_a_model(root, board):
    assert found(root, "contiguous memory", needed=1 << 29).state == GOOD
    finding = found(root, "contiguous memory", needed=3 << 29)
    assert finding.state == BAD and "the model needs 1,536 MiB" in finding.found and "cma=1920M" in finding.advice


def test_the_clock_that_boards_start_with(root, board, bitfile, monkeypatch):
    """Before a bitstream, and with one whose clock did not take."""
    board.bus._words[0xFF5E00C0] = 1 << 24 | 1 << 16 | 15 << 8
    assert found(root, "fabric clock").state == WARNING
    write = board.bus.write
    monkeypatch.setattr(board.bus, "write", lambda address, value: None if address == 0xFF5E00C0 else write(address, value))
    finding = found(root, "fabric clock", bitfile=bitfile)
    assert finding.state == WARNING and "99.999 MHz" in finding.found and "the preset has 250 MHz" in finding.advice


def test_a_bitstream_of_another_preset(root, board, bitfile):
    finding = found(root, "bitstream", bitfile=bitfile, preset_name="tiny")
    assert finding.state == BAD and "reads geometry 0x4021003, but preset tiny of this version has" in finding.found
    assert found(root, "bitstream", bitfile=root / "absent.bit").found.startswith("There is no bitstream at")


def test_no_privileges(root, board, monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert found(root, "privileges").state == BAD


def test_this_machine_is_no_board(capsys):
    assert main(["doctor"]) == NO_BOARD
    said = capsys.readouterr().out
    assert said.startswith("There is no board here: ") and "PYNQ_REMOTE_DEVICES" in said and len(said.splitlines()) == 2
    assert main(["doctor", "--json"]) == NO_BOARD
    told = json.loads(capsys.readouterr().out)
    assert told["board"] is told["ready"] is False and told["findings"][0]["state"] == BAD


def test_statuses_on_a_board(root, board, bitfile, capsys, monkeypatch):
    from terntable.host.commands import doctor

    board.bus._words[0xFF5E00C0] = 1 << 24 | 1 << 16 | 6 << 8
    monkeypatch.setattr(doctor, "is_board", lambda: True)
    monkeypatch.setattr(doctor, "examine", lambda **options: examine(**options, root=root))
    assert main(["doctor", "--bitfile", str(bitfile)]) == READY
    assert capsys.readouterr().out.endswith("Ready.\n")
    assert main(["doctor", "--bitfile", str(bitfile), "--preset", "tiny"]) == MEND
    said = capsys.readouterr().out
    assert "bad      bitstream:" in said and "-> build the bitstream with this version" in said
    assert main(["doctor", "--preset", "moon"]) == 2
