"""The power sensor, on a made-up tree of hwmon."""

import time

import pytest

from terntable.host.board.power import EnergyMeter, Sensor, find_sensor
from terntable.host.errors import DeviceError


def sensor_folder(root, number, name, microwatts=None):
    folder = root / f"hwmon{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    if microwatts is not None:
        (folder / "power1_input").write_text(f"{microwatts}\n")
    return folder / "power1_input"


def test_the_supply_of_the_board_is_preferred(tmp_path):
    """A KV260 has temperatures, a fan and one INA260; a ZCU104 has several INA226."""
    sensor_folder(tmp_path, 0, "ams")
    sensor_folder(tmp_path, 1, "ina226_u76", 1_000_000)
    file = sensor_folder(tmp_path, 2, "ina260_u14", 3_480_000)
    sensor_folder(tmp_path, 3, "ina260_without")
    assert find_sensor(tmp_path) == Sensor("ina260_u14", file)
    assert find_sensor(tmp_path).watts() == 3.48


def test_no_sensor(tmp_path):
    sensor_folder(tmp_path, 0, "ams", 5)
    assert find_sensor(tmp_path) is None and find_sensor(tmp_path / "absent") is None


@pytest.mark.parametrize("text", ["", "many"])
def test_a_sensor_that_does_not_answer(tmp_path, text):
    file = sensor_folder(tmp_path, 0, "ina260_u14", 0)
    file.write_text(text)
    with pytest.raises(DeviceError, match="The power sensor ina260_u14 cannot be read at .*power1_input: invalid literal"):
        find_sensor(tmp_path).watts()


def test_energy_is_the_area_below_the_readings(tmp_path):
    """Readings at 0, 1 and 3 seconds of 2, 4 and 6 W: 3 J and 10 J."""
    file = sensor_folder(tmp_path, 0, "ina260_u14", 2_000_000)
    now = [0.0]
    meter = EnergyMeter(Sensor("ina260_u14", file), interval=3600, clock=lambda: now[0])
    with meter:
        for now[0], watts in ((1.0, 4), (3.0, 6)):
            file.write_text(f"{watts}000000")
            if now[0] == 1.0:
                meter._read()
    assert (meter.joules, meter.seconds, meter.readings) == (13.0, 3.0, 3)
    assert meter.watts == pytest.approx(13 / 3)


def test_readings_come_by_themselves(tmp_path):
    file = sensor_folder(tmp_path, 0, "ina260_u14", 5_000_000)
    with EnergyMeter(Sensor("ina260_u14", file), interval=0.005) as meter:
        time.sleep(0.2)
    assert meter.readings > 5 and meter.watts == pytest.approx(5)


def test_a_sensor_that_goes_away(tmp_path):
    file = sensor_folder(tmp_path, 0, "ina260_u14", 5_000_000)
    with pytest.raises(DeviceError, match="cannot be read"), EnergyMeter(Sensor("ina260_u14", file), interval=0.005):
        file.unlink()
        time.sleep(0.1)
