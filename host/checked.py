"""A session that runs every pass on a second device too, and compares all bytes that come out."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from terntable.host.compare import first_difference
from terntable.host.device import Device
from terntable.host.excerpt import Part
from terntable.host.loaded import LoadedProgram, memory_needed
from terntable.host.program import Program
from terntable.host.session import Session
from terntable.host.target import Counters, PassResult

__all__ = ["CheckedSession", "Mismatch"]

#: Counters that do not depend on time.
BYTE_COUNTERS = ("stream_bytes", "read_bytes", "write_bytes")


class Mismatch(RuntimeError):
    """Two devices gave different bytes; the sentence says where first."""


class CheckedSession(Session):
    """A session whose passes must equal the golden model's.

    Parameters
    ----------
    device, program, loaded, progress, head : as :class:`terntable.host.session.Session`.
    reference : the device to compare with; the golden model if None.

    Attributes
    ----------
    passes : passes that were compared and found equal.

    """

    def __init__(self, device: Device, program: Program, *, loaded: LoadedProgram | None = None,
                 progress: Callable[[str], None] | None = None, reference: Device | None = None, head: str = "exact") -> None:
        if reference is None:
            from terntable.host.devices.golden import GoldenDevice

            reference = GoldenDevice(program.config, memory_bytes=memory_needed(program, states=True))
        self.passes = 0
        self.reference = Session(reference, program, head=head)
        super().__init__(device, program, loaded=loaded, progress=progress, head=head)

    def __enter__(self) -> "CheckedSession":
        return self

    def close(self) -> None:
        """Give back what both sessions hold."""
        super().close()
        self.reference.close()

    def restore(self, cache: NDArray[np.uint8], length: int) -> None:
        """Take over a KV cache on both devices."""
        self.reference.restore(cache, length)
        super().restore(cache, length)

    def keep_states(self, layers: Sequence[int]) -> None:
        """Keep the states of some layers on both devices."""
        super().keep_states(layers)
        self.reference.keep_states(layers)

    def _pass(self, rows: NDArray, vectors: NDArray[np.float32] | None, part: Part | None = None) -> PassResult:
        # Before the own pass, which writes the addresses of its vectors into the rows.
        wanted = self.reference._pass(rows.copy(), vectors, part)
        result = super()._pass(rows, vectors, part)
        self._compare(result, wanted, result.counters, wanted.counters, rows)
        return result

    def _move(self, rows: NDArray) -> Counters:
        wanted, counters = self.reference._move(rows.copy()), super()._move(rows)
        self._compare(None, None, counters, wanted, rows)
        return counters

    def _compare(self, result: PassResult | None, wanted: PassResult | None, counters: Counters,
                 wanted_counters: Counters, rows: NDArray) -> None:
        difference = first_difference(self.program, self.kv_bytes(), self.reference.kv_bytes(), result,
                                      wanted) or self._in_states(rows)
        if difference is None:
            for name in BYTE_COUNTERS:
                ours, theirs = counters[name], wanted_counters[name]
                if ours is not None and theirs is not None and ours != theirs:
                    difference = f"counter {name} is {ours} instead of {theirs}"
                    break
        if difference is not None:
            raise Mismatch(f"Device {self.device.name} differs from {self.reference.device.name} in pass "
                           f"{self.passes + 1} ({len(rows)} rows from slot {rows['slot'][0]}): {difference}")
        self.passes += 1

    def _in_states(self, rows: NDArray) -> str | None:
        """The first difference between states that a pass left."""
        first, count = int(rows["slot"][0]), len(rows)
        for layer in self.kept_states:
            ours, theirs = (one.states(layer, first, count) for one in (self, self.reference))
            if (wrong := np.argwhere(ours.view(np.uint32) != theirs.view(np.uint32))).size:
                row, column = wrong[0]
                return (f"column {column} of row {row}'s state after {layer} layers is {ours[row, column]} instead of "
                        f"{theirs[row, column]}; made by that layer, or the quantiser or the KV writer behind it")
        return None
