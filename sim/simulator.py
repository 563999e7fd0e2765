"""The simulated machine, for Python: registers, memory, and time that passes only when asked to."""

import ctypes
import hashlib
import os
from collections.abc import Callable
from enum import IntEnum, IntFlag
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.registers import CONTROL_START, REGISTERS, Register
from terntable.sim.build import build
from terntable.sim.errors import SimulatorError
from terntable.sim.memory_timing import MODELS, MemoryTiming

__all__ = ["DEFAULT_BASE", "Counters", "MemoryTiming", "Port", "Response", "Simulator"]

#: Address of the first byte of memory; not 0, so that a forgotten base address is an error and not a hit.
DEFAULT_BASE = 0x1000_0000

#: Cycles within which a register access must be answered.
REGISTER_DEADLINE = 1000

_REGISTERS = {register.name: register for register in REGISTERS}


class Port(IntFlag):
    """The ports, for faults."""

    READ0 = 1
    READ1 = 2
    READ2 = 4
    READ3 = 8
    WRITE = 16
    READS = 15
    ALL = 31


class Response(IntEnum):
    """What a faulty address answers."""

    SLVERR = 2
    DECERR = 3


class Counters(NamedTuple):
    """Cycles since the simulator was opened, bytes read on each port, and bytes written."""

    cycles: int
    read_bytes: tuple[int, ...]
    write_bytes: int


class _Settings(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_uint64) for name in ("base", "size", "seed")),
        *((name, ctypes.c_double) for name in ("bandwidth", "stall")),
        *((name, ctypes.c_uint) for name in ("model", "read_latency", "write_latency")),
        ("ddr", ctypes.c_uint32 * len(MemoryTiming().ddr.words())),
    ]


class _Counters(ctypes.Structure):
    _fields_ = [("cycles", ctypes.c_uint64), ("read_bytes", ctypes.c_uint64 * 4), ("write_bytes", ctypes.c_uint64)]


_DONE, _DEADLINE, _VIOLATION = range(3)
_HANDLE, _WORD, _LONG, _RESULT = (
    ctypes.c_void_p,
    ctypes.c_uint,
    ctypes.c_uint64,
    ctypes.POINTER(ctypes.c_uint),
)
_FUNCTIONS: dict[str, tuple[type | None, list]] = {
    "create": (_HANDLE, [ctypes.c_void_p, ctypes.POINTER(_Settings)]),
    "destroy": (None, [_HANDLE]),
    "reset": (None, [_HANDLE]),
    "run": (ctypes.c_int, [_HANDLE, _LONG, ctypes.c_int]),
    "interrupt": (ctypes.c_int, [_HANDLE]),
    "busy": (ctypes.c_int, [_HANDLE]),
    "trace": (ctypes.c_int, [_HANDLE, ctypes.c_char_p]),
    "save": (ctypes.c_int, [_HANDLE, ctypes.c_char_p]),
    "restore": (ctypes.c_int, [_HANDLE, ctypes.c_char_p]),
    "ports": (_WORD, []),
    "port_bytes": (_WORD, []),
    "violation": (ctypes.c_char_p, [_HANDLE]),
    "mute": (None, [_HANDLE, _WORD]),
    "fault": (ctypes.c_int, [_HANDLE, _LONG, _LONG, _WORD, _WORD]),
    "clear_faults": (None, [_HANDLE]),
    "write": (ctypes.c_int, [_HANDLE, _WORD, _WORD, _WORD, _RESULT]),
    "read": (ctypes.c_int, [_HANDLE, _WORD, _WORD, _RESULT, _RESULT]),
    "counters": (None, [_HANDLE, ctypes.POINTER(_Counters)]),
}


class Simulator:
    """The Verilated accelerator with memory behind its ports. One thread at a time; close it or use ``with``.

    Time stands still between calls: register accesses take the few cycles they need, :meth:`run` and
    :meth:`wait` the rest. Every method raises SimulatorError when the design breaks the AXI protocol.

    Attributes
    ----------
    memory : uint8 array, shape (ddr_bytes,): all of memory, shared with the simulator without a copy.
    base : address of ``memory[0]``.
    ports : AXI ports of the accelerator.

    """

    def __init__(
        self,
        library: Path,
        *,
        ddr_bytes: int,
        base: int = DEFAULT_BASE,
        timing: MemoryTiming | None = None,
        trace: Path | None = None,
    ):
        if ddr_bytes < 1 or base < 0 or base + ddr_bytes > 1 << 64:
            raise ValueError(
                f"Memory of {ddr_bytes} bytes at address {base:#x} does not fit 64-bit addresses"
            )
        self._handle: int | None = None
        self.base = base
        self.memory: NDArray[np.uint8] = np.zeros(ddr_bytes, np.uint8)
        self._functions = _load(library)
        self.ports: int = self._functions["ports"]()
        t, beat = timing or MemoryTiming(), self._functions["port_bytes"]()
        if t.model == "ddr" and beat > 16:
            raise ValueError(f"Ports of the DDR model have beats of at most 16 bytes, not {beat}")
        self._settings = _Settings(base, ddr_bytes, t.seed, t.bytes_per_cycle(beat), t.stall, MODELS.index(t.model),
                                   t.read_latency, t.write_latency, (ctypes.c_uint32 * len(t.ddr.words()))(*t.ddr.words()))
        self._identity = hashlib.sha256(str(library.resolve()).encode() + bytes(self._settings)).digest()
        self._handle = self._functions["create"](self.memory.ctypes.data, ctypes.byref(self._settings))
        if trace is not None:
            self.trace(trace)

    @classmethod
    def open(
        cls,
        config: HardwareConfig,
        ddr_bytes: int,
        *,
        base: int = DEFAULT_BASE,
        trace: Path | None = None,
        progress: Callable[[str], None] | None = None,
        threads: int = 1,
        **timing: Any,
    ) -> "Simulator":
        """Build the library of `config` if needed and start it; `timing` as in :class:`MemoryTiming`."""
        settings = MemoryTiming(**timing)
        library = build(config, trace=trace is not None, threads=threads, progress=progress)
        return cls(library, ddr_bytes=ddr_bytes, base=base, timing=settings, trace=trace)

    def close(self) -> None:
        """End the simulation; `memory` stays."""
        if self._handle is not None:
            self._functions["destroy"](self._handle)
            self._handle = None

    def __enter__(self) -> "Simulator":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self.close()

    def read(self, name: str) -> int:
        """Value of the register called `name`; KeyError for an unknown one."""
        register = _REGISTERS[name]
        return sum(self.read_word(register.offset + 4 * n) << 32 * n for n in range(register.width // 32))

    def write(self, name: str, value: int) -> None:
        """Write the register called `name`; KeyError for an unknown one, ValueError for a value too wide."""
        register: Register = _REGISTERS[name]
        if not 0 <= value < 1 << register.width:
            raise ValueError(f"Register {name} has {register.width} bits, {value:#x} does not fit")
        for n in range(register.width // 32):
            self.write_word(register.offset + 4 * n, value >> 32 * n & 0xFFFFFFFF)

    def read_word(self, offset: int) -> int:
        """The 32-bit word at byte offset `offset` of the register file."""
        value, response = ctypes.c_uint(), ctypes.c_uint()
        status = self._call("read", offset, REGISTER_DEADLINE, ctypes.byref(value), ctypes.byref(response))
        self._check_access(f"Reading register offset {offset:#x}", status, response.value)
        return value.value

    def write_word(self, offset: int, value: int) -> None:
        """Write the 32-bit word at byte offset `offset` of the register file."""
        response = ctypes.c_uint()
        status = self._call("write", offset, value, REGISTER_DEADLINE, ctypes.byref(response))
        self._check_access(f"Writing register offset {offset:#x}", status, response.value)

    def run(self, cycles: int) -> None:
        """Let `cycles` cycles pass."""
        self._check(self._call("run", cycles, 0))

    def wait(self, deadline_cycles: int) -> None:
        """Let time pass until the interrupt line is high.

        Raises
        ------
        SimulatorError
            It is still low after `deadline_cycles` cycles.

        """
        status = self._call("run", deadline_cycles, 1)
        self._check(status)
        if status == _DEADLINE:
            raise SimulatorError(f"The accelerator did not finish within {deadline_cycles} cycles")

    def start_and_wait(self, deadline_cycles: int) -> None:
        """Ring the doorbell and :meth:`wait` for done or error."""
        self.write("interrupt_enable", 1)
        self.write("control", CONTROL_START)
        self.wait(deadline_cycles)

    def reset(self) -> None:
        """Hold the reset line for a few cycles; needs :attr:`bus_idle`, for memory forgets no bursts."""
        if not self.bus_idle:
            raise SimulatorError("The accelerator cannot be reset while bursts are on their way")
        self._call("reset")

    @property
    def interrupt(self) -> bool:
        """Whether the interrupt line is high."""
        return bool(self._call("interrupt"))

    @property
    def bus_idle(self) -> bool:
        """Whether every burst has been answered."""
        return not self._call("busy")

    @property
    def counters(self) -> Counters:
        """What the simulator counted, independently of the design."""
        counters = _Counters()
        self._call("counters", ctypes.byref(counters))
        return Counters(counters.cycles, tuple(counters.read_bytes[:self.ports]), counters.write_bytes)

    def fault(self, first: int, last: int, *, response: Response = Response.SLVERR,
              ports: Port = Port.ALL) -> None:
        """Let addresses `first` to `last` (included) answer an error until :meth:`clear_faults`."""
        if not self._call("fault", first, last, int(response), int(ports)):
            raise SimulatorError("There are too many faulty address ranges")

    def clear_faults(self) -> None:
        """Make every address well again."""
        self._call("clear_faults")

    def mute(self, ports: Port) -> None:
        """From now on, exactly `ports` answer nothing; ``Port(0)`` lets all go on."""
        self._call("mute", int(ports))

    def save(self, path: Path) -> None:
        """Write a checkpoint: all state of the accelerator, the memory and its timing. What was there is replaced at once.

        Faults, muted ports and the waveform are not part of it.
        """
        draft = path.with_name(f".{path.name}-{os.getpid()}")
        try:
            if not self._call("save", os.fsencode(draft)):
                raise SimulatorError(f"The checkpoint {path} cannot be written")
            with draft.open("ab") as file:
                file.write(self._identity)
            draft.replace(path)
        except OSError as error:
            raise SimulatorError(f"The checkpoint {path} cannot be written: {error}") from error
        finally:
            draft.unlink(missing_ok=True)

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint of a simulator with the same library, memory size and timing."""
        try:
            with path.open("rb") as file:
                file.seek(-len(self._identity), os.SEEK_END)
                same = file.read() == self._identity
        except OSError as error:
            raise SimulatorError(f"The checkpoint {path} cannot be read: {error}") from error
        if not same or not self._call("restore", os.fsencode(path)):
            raise SimulatorError(f"{path} is no checkpoint of this accelerator with this memory")

    def trace(self, path: Path | None) -> None:
        """Write waveforms (VCD) to `path` from now on; None ends it. Needs the library's trace variant."""
        if not self._call("trace", None if path is None else str(path).encode()):
            raise SimulatorError(
                f"The waveform {path} cannot be written: build with trace=True, and a folder that exists"
            )

    def _call(self, name: str, *arguments) -> int:
        if self._handle is None:
            raise SimulatorError("The simulator is closed")
        return self._functions[name](self._handle, *arguments)

    def _check(self, status: int) -> None:
        if status == _VIOLATION:
            text = self._functions["violation"](self._handle).decode()
            raise SimulatorError(f"The accelerator broke the AXI protocol: {text}")

    def _check_access(self, what: str, status: int, response: int) -> None:
        self._check(status)
        if status == _DEADLINE:
            raise SimulatorError(f"{what} was not answered within {REGISTER_DEADLINE} cycles")
        if response:
            raise SimulatorError(f"{what} was answered with an error ({response})")


def _load(library: Path) -> dict[str, Callable]:
    try:
        # A model has state per instance, so all simulators of a process share the library.
        loaded = ctypes.CDLL(str(library))
    except OSError as error:
        raise SimulatorError(f"The simulator library cannot be loaded: {error}") from error
    functions = {}
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(loaded, f"sim_{name}")
        function.restype, function.argtypes = result, arguments
        functions[name] = function
    return functions
