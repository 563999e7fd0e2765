"""What runs passes for one sequence: its buffers on the device, the registers of a pass, and what comes back."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import DTypeLike, NDArray

from terntable.host.device import Device
from terntable.host.errors import DeviceFault, DeviceTimeout
from terntable.host.excerpt import Excerpt, Part, excerpt
from terntable.host.loaded import LoadedProgram
from terntable.host.memory import Buffer
from terntable.host.pass_parts import PassParts
from terntable.host.states import StateLayout
from terntable.host.target import Counters, PassResult
from terntable.hw.spec.layout import result_stride, round_up
from terntable.hw.spec.program import RESULT, ROW, RowFlag

__all__ = ["PassRunner"]

#: A pass may take the first number of cycles, and the second for each beat of its weights.
LEAST_DEADLINE, CYCLES_PER_BEAT = 10_000_000, 200


class PassRunner:
    """Runs whole passes of a program, and parts of them.

    Parameters
    ----------
    device, loaded : the program in the device's memory.
    two_stage : whether passes that want no full logits take the two-stage head.

    Attributes
    ----------
    on_cycles : called now and then with the cycles that a running pass has taken.
    kept : states of layers that every pass leaves in memory.

    """

    def __init__(self, device: Device, loaded: LoadedProgram, *, two_stage: bool) -> None:
        self.device, self.loaded, self.program, self.two_stage = device, loaded, loaded.program, two_stage
        self.on_cycles: Callable[[int], None] | None = None
        self.parts = PassParts(self.program)
        self.kept = StateLayout(self.parts, ())
        self._buffers: list[Buffer] = []
        self._excerpts: dict[Part, tuple[Excerpt, Buffer]] = {}
        self._states: Buffer | None = None
        # Whether a pass may have written states since the host last made them visible.
        self._written = False
        config = self.program.config
        try:
            self.kv = self._allocate(self.program.kv.total_bytes)
            self._rows = self._allocate(config.rows, ROW)
            self._results = self._allocate((config.rows, result_stride(config)))
            self._logits = self._allocate((config.rows, self.program.logits_stride // 4), np.float32)
            self._vectors = self._allocate((config.rows, round_up(4 * self.program.shape.hidden, config.beat_bytes) // 4),
                                           np.float32)
        except BaseException:
            self.close()
            raise

    def keep_states(self, layers: Sequence[int]) -> None:
        """Keep the states of other layers from now on; those of earlier passes are lost."""
        kept = StateLayout(self.parts, layers)
        if kept.layers == self.kept.layers:
            return
        for buffer in (*(buffer for _, buffer in self._excerpts.values()), *([] if self._states is None else [self._states])):
            self._free(buffer)
        self._excerpts, self._states, self.kept = {}, None, StateLayout(self.parts, ())
        if kept.layers:
            self._states = self._allocate(kept.total_bytes)
        self.kept = kept

    def states(self, layer: int, first: int, count: int) -> NDArray[np.float32]:
        """States (count, hidden) of a layer that are kept in the slots from `first` on."""
        if self._states is None:
            return self.kept.read(np.zeros(0, np.uint8), layer, first, count)
        if self._written:
            self._states.invalidate()
            self._written = False
        return self.kept.read(self._states, layer, first, count)

    def run(self, rows: NDArray, vectors: NDArray[np.float32] | None, part: Part | None = None) -> PassResult:
        """A whole pass over row records, or a part of one.

        Where a row's flags ask for a vector, the address of its own of (rows, hidden) is set.
        """
        program = self.program
        if part is None and not self.kept.layers:
            return self._collect(rows, vectors, self.loaded.address["program"], self.kv.device_address, 0, program.stream_words)
        part = part or Part(0, program.shape.layers, head=True)
        base = self._base
        if part not in self._excerpts:
            made = excerpt(self.parts, part, self.kept, cache_at=self.kv.device_address - base,
                           states_at=0 if self._states is None else self._states.device_address - base)
            buffer = self._allocate(made.program.size)
            buffer[:] = made.program
            buffer.flush()
            self._excerpts[part] = made, buffer
        made, buffer = self._excerpts[part]
        self._written = True
        return self._collect(rows, vectors, buffer.device_address, base, made.first_word, made.words)

    def move(self, rows: NDArray) -> Counters:
        """Compact the KV cache."""
        return self._start(rows, self.loaded.address["moves"], self.kv.device_address, 0, 0, 0, 0)

    def close(self) -> None:
        """Give back the buffers."""
        for buffer in self._buffers:
            buffer.freebuffer()
        self._buffers, self._excerpts, self._states = [], {}, None

    @property
    def _base(self) -> int:
        """The cache's base register where states are stored too: what lies first."""
        return min(one.device_address for one in (self.kv, self._states) if one is not None)

    def _collect(self, rows: NDArray, vectors: NDArray[np.float32] | None, address: int, base: int, first: int, words: int,
                 ) -> PassResult:
        program = self.program
        if vectors is not None:
            self._vectors[:len(rows), :vectors.shape[1]] = vectors
            self._vectors.flush()
            marked = np.flatnonzero(rows["flags"] & RowFlag.VECTOR)
            rows["vector"][marked] = self._vectors.device_address + marked * self._vectors.strides[0]
        flags = rows["flags"]
        asked = np.flatnonzero(flags & (RowFlag.TOP_K | RowFlag.LOGITS))
        counters = self._start(rows, address, base, first, words, program.head_words,
                               program.shortlist_words if self.two_stage else 0)
        self._results.invalidate()
        top = np.array(self._results[asked, :RESULT.itemsize * program.config.top_k]).view(RESULT)
        logits = None
        if (flags & RowFlag.LOGITS).any():
            self._logits.invalidate()
            logits = np.array(self._logits[asked, :program.shape.vocab])
        return PassResult(top["index"][:, 0].astype(np.int64), top, logits, counters)

    def _start(self, rows: NDArray, program: int, base: int, first: int, words: int, head_words: int,
               shortlist_words: int) -> Counters:
        device, address, whole = self.device, self.loaded.address, self.program
        size = whole.config.word_bytes
        self._rows[:len(rows)] = rows
        self._rows.flush()
        deadline = LEAST_DEADLINE + CYCLES_PER_BEAT * (words + head_words)
        for name, value in (
            ("rows", len(rows)), ("watchdog", deadline), ("stream_words", words),
            ("head_words", head_words), ("shortlist_words", shortlist_words),
            ("shortlist_base", address["stream"] + (whole.stream_words + whole.head_words) * size),
            ("program_base", program), ("rows_base", self._rows.device_address),
            ("stream_base", address["stream"] + first * size),
            ("embed_base", address["embed"]), ("rope_base", address["rope"]),
            ("kv_base", base),
            ("result_base", self._results.device_address), ("logits_base", self._logits.device_address),
        ):
            device.write_register(name, value)
        try:
            device.start()
            # The watchdog is of one descriptor; a pass of many slow ones is still a pass that hangs.
            device.wait(deadline_cycles=2 * deadline, deadline_seconds=60, progress=self.on_cycles)
        except (DeviceFault, DeviceTimeout, KeyboardInterrupt):
            device.reset()
            raise
        return {"passes": 1} | device.counters()

    def _allocate(self, shape: int | tuple[int, ...], dtype: DTypeLike = np.uint8) -> Buffer:
        self._buffers.append(self.device.allocate(shape, dtype))
        return self._buffers[-1]

    def _free(self, buffer: Buffer) -> None:
        self._buffers = [one for one in self._buffers if one is not buffer]
        buffer.freebuffer()
