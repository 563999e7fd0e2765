"""Errors of devices and sessions; each text is one sentence that names the value and the limit."""

from terntable.hw.spec.program import Fault

__all__ = ["DeviceError", "DeviceFault", "DeviceTimeout", "InputError", "SessionError"]

CAUSES = {
    Fault.READ_ERROR: "a read was answered with an error",
    Fault.WRITE_ERROR: "a write was answered with an error",
    Fault.BAD_DESCRIPTOR: "the descriptor is malformed",
    Fault.WATCHDOG: "it took longer than the watchdog allows",
    Fault.NUMERIC: "a value was not a finite number",
    Fault.BAD_WEIGHT: "a weight byte does not hold five trits",
    Fault.BAD_ROW: "a row record is malformed",
}


class InputError(ValueError):
    """What the user asked for is impossible."""


class SessionError(InputError):
    """A session cannot do what it was asked; it did nothing and stays usable."""


class DeviceError(RuntimeError):
    """A device is not there, is another one than expected, or cannot do what it was asked."""


class DeviceTimeout(DeviceError):
    """A pass was not done at its deadline."""


class DeviceFault(DeviceError):
    """A pass stopped with an error.

    Attributes
    ----------
    cause : why, `Fault.NONE` for a code that is not known.
    index : the number of the descriptor that stopped.

    """

    def __init__(self, cause: int, index: int) -> None:
        known = cause in set(Fault)
        self.cause, self.index = Fault(cause) if known else Fault.NONE, index
        text = CAUSES.get(self.cause, "no cause is set")
        why = f"{self.cause.name}, {text}" if known else f"the unknown cause {cause}"
        super().__init__(f"The pass stopped at descriptor {index} with {why}")
