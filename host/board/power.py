"""Power of a board by its own sensor: the INA260 of a KV260 and its like, as Linux's hwmon shows them."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from terntable.host.errors import DeviceError

__all__ = ["HWMON", "EnergyMeter", "Sensor", "find_sensor"]

HWMON = Path("/sys/class/hwmon")

#: Sensors of the whole board's supply come first: that of Kria starter kits, then whatever of its kind there is.
_NAMES = ("ina260", "ina226", "ina")

#: Between two readings, in seconds: the INA260 averages over about as long.
INTERVAL = 0.02


@dataclass(frozen=True)
class Sensor:
    """A sensor by its name and the file that holds microwatts."""

    name: str
    file: Path

    def watts(self) -> float:
        """What the board takes now; DeviceError when the sensor does not answer."""
        try:
            return int(self.file.read_text()) / 1e6
        except (OSError, ValueError) as error:
            raise DeviceError(f"The power sensor {self.name} cannot be read at {self.file}: {error}") from error


def find_sensor(root: Path = HWMON) -> Sensor | None:
    """The sensor of the board's supply, None when there is none that Linux knows."""
    found = []
    for folder in sorted(root.glob("hwmon*")):
        file = folder / "power1_input"
        try:
            name = (folder / "name").read_text().strip()
        except OSError:
            continue
        rank = next((n for n, prefix in enumerate(_NAMES) if name.startswith(prefix)), None)
        if rank is not None and file.exists():
            found.append((rank, name, file))
    return Sensor(*min(found)[1:]) if found else None


class EnergyMeter:
    """Reads a sensor now and then in a thread while it is open, as a context.

    Attributes
    ----------
    joules, seconds : of the whole time; the mean of neighbouring readings holds between them.
    readings : how many there were.

    """

    def __init__(self, sensor: Sensor, *, interval: float = INTERVAL, clock: Callable[[], float] = time.perf_counter) -> None:
        self._sensor, self._interval, self._clock = sensor, interval, clock
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: DeviceError | None = None
        self._last = (0.0, 0.0)
        self.joules = self.seconds = 0.0
        self.readings = 0

    @property
    def watts(self) -> float:
        """Mean over the time that was measured."""
        return self.joules / self.seconds if self.seconds else self._last[1]

    def __enter__(self) -> "EnergyMeter":
        self._read()
        self._thread = threading.Thread(target=self._run, name="terntable-power", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 where: TracebackType | None) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        if error is None:
            if self._error is not None:
                raise self._error
            self._read()

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                self._read()
            except DeviceError as error:
                self._error = error
                return

    def _read(self) -> None:
        now, watts = self._clock(), self._sensor.watts()
        if self.readings:
            before, earlier = self._last
            self.seconds += now - before
            self.joules += (now - before) * (watts + earlier) / 2
        self.readings, self._last = self.readings + 1, (now, watts)
