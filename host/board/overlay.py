"""Opens a bitstream through PYNQ; whatever goes wrong there becomes a DeviceError with a way out."""

import functools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from terntable.host.board.background import in_loop, within
from terntable.host.board.handoff import Handoff, read_handoff
from terntable.host.errors import DeviceError

__all__ = ["OpenedOverlay", "explained", "import_pynq"]

#: A board on the network that does not answer in this time is gone.
REMOTE_SECONDS = 10.0


def import_pynq() -> Any:
    """The package `pynq`; DeviceError when it is not installed."""
    try:
        with warnings.catch_warnings():
            # Of its own dependencies.
            warnings.simplefilter("ignore")
            import pynq
    except ImportError as error:
        raise DeviceError(f"Device pynq needs {error.name}, which is not installed: pip install 'terntable[pynq]', or run the "
                          "Python of the board's PYNQ image") from error
    return pynq


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn any error of PYNQ, XRT or gRPC, which have no common class, into a DeviceError."""
    try:
        yield
    except DeviceError:
        raise
    except Exception as error:
        raise DeviceError(f"{what}: {type(error).__name__}: {error}") from error


class OpenedOverlay:
    """A bitstream on PYNQ's active device, with the accelerator's driver.

    Parameters
    ----------
    bitfile : the ``.bit``, with its ``.hwh`` beside it.

    Attributes
    ----------
    overlay, driver : PYNQ's objects.
    handoff : what the ``.hwh`` says.
    remote : whether the board is on the network (PYNQ.remote).

    """

    def __init__(self, bitfile: Path) -> None:
        pynq = import_pynq()
        if not bitfile.is_file():
            raise DeviceError(f"There is no bitstream at {bitfile}")
        self.bitfile = bitfile
        self.handoff: Handoff = read_handoff(bitfile)
        # Importing it binds it.
        from terntable.host.board.driver import TerntableIP

        device = self.find_device(pynq)
        self.remote: bool = device.has_capability("REMOTE")
        with explained(f"{bitfile} cannot be loaded"):
            self.overlay = pynq.Overlay(str(bitfile), device=device)
            # PYNQ opens an interrupt in the loop that it finds.
            self.driver = in_loop(lambda: functools.reduce(getattr, self.handoff.path.split("/"), self.overlay))
        if not isinstance(self.driver, TerntableIP):
            raise DeviceError(f"PYNQ gives {self.handoff.path} of {bitfile} the driver {type(self.driver).__name__}: another "
                              "package binds a driver to the same core")

    def read(self, name: str) -> int:
        """Value of a register."""
        return self._answered(f"Reading register {name}", lambda: self.driver.read_register(name))

    def write(self, name: str, value: int) -> None:
        """Write a register."""
        self._answered(f"Writing register {name}", lambda: self.driver.write_register(name, value))

    def _answered(self, what: str, call: Any) -> Any:
        try:
            # A thread for each call would cost a local access ten times its time.
            return within(REMOTE_SECONDS, what, call) if self.remote else call()
        except (KeyError, ValueError, DeviceError):
            raise
        except Exception as error:
            raise DeviceError(f"{what} failed: {type(error).__name__}: {error}") from error

    @staticmethod
    def find_device(pynq: Any) -> Any:
        """PYNQ's active device; DeviceError when it finds none."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return pynq.Device.active_device
        except Exception as error:
            raise DeviceError(f"PYNQ finds no board ({error}): run on one, as root and with its environment (sudo -i), or set "
                              "PYNQ_REMOTE_DEVICES to the address of one before Python starts") from error
