"""A sequence on a device: prefill, decode, verify, commit, rollback."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from terntable.host.device import Device
from terntable.host.errors import DeviceFault, DeviceTimeout, SessionError
from terntable.host.loaded import LoadedProgram, memory_needed
from terntable.host.memory import Buffer
from terntable.host.program import Program
from terntable.host.rows import check_parents, check_path, check_tokens, check_vectors, row_records
from terntable.host.target import Counters, PassResult, add_counters
from terntable.hw.spec.layout import result_stride, round_up
from terntable.hw.spec.program import RESULT, ROW, RowFlag

__all__ = ["HEADS", "Session"]

#: How the best tokens of a row are found.
HEADS = ("exact", "two-stage")

#: A pass may take the first number of cycles, and the second for each beat of its weights.
LEAST_DEADLINE, CYCLES_PER_BEAT = 10_000_000, 200


class Session:
    """One sequence with its own KV cache; close it or use it as a context. Sessions of one device take turns.

    Parameters
    ----------
    device, program : of the same configuration, else SessionError.
    loaded : the program already in the device's memory, to share it between sessions.
    progress : called with a sentence for each step of loading.
    head : "exact", or "two-stage", for which the program must have a shortlist. A pass that asks for full logits takes the exact
        head whatever this is.

    Attributes
    ----------
    on_cycles : called now and then with the cycles that a running pass has taken.

    """

    def __init__(self, device: Device, program: Program, *, loaded: LoadedProgram | None = None,
                 progress: Callable[[str], None] | None = None, head: str = "exact") -> None:
        if head not in HEADS:
            raise SessionError(f"The head must be {' or '.join(HEADS)}, not {head!r}")
        if head == "two-stage" and not program.shortlist_words:
            raise SessionError("The program has no shortlist, which the two-stage head needs: compile it with --shortlist")
        self.device, self.program, self.head = device, program, head
        self.on_cycles: Callable[[int], None] | None = None
        self._owns_program, self._owns_device = loaded is None, False
        self.loaded = LoadedProgram(device, program, progress=progress) if loaded is None else loaded
        if self.loaded.device is not device or self.loaded.program is not program:
            raise SessionError("The loaded program belongs to another device or is another program")
        config, shape = program.config, program.shape
        self._length = 0
        self._parents: list[int] = []
        self._buffers: list[Buffer] = []
        try:
            self._kv = self._allocate(program.kv.total_bytes)
            self._rows = self._allocate(config.rows, ROW)
            self._results = self._allocate((config.rows, result_stride(config)))
            self._logits = self._allocate((config.rows, program.logits_stride // 4), np.float32)
            self._vectors = self._allocate((config.rows, round_up(4 * shape.hidden, config.beat_bytes) // 4),
                                           np.float32)
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, device: str = "golden", *, model: str = "kjv", preset: str | None = None, head: str = "exact",
             progress: Callable[[str], None] | None = None, **options: Any) -> "Session":
        """A session on a device and model by name; closing it closes the device.

        Parameters
        ----------
        device : golden, sim or pynq.
        model : a shipped name, a Hugging Face directory, or a compiled file.
        preset : the one a bitstream was built from, or a compiled file was made for, or else `tiny`.
        head : as of the class; the model is compiled for it.
        options : of the simulator's memory, see `terntable.sim.simulator.MemoryTiming`; for a board `bitfile` and the rest of
            `terntable.host.devices.pynq_board.PynqDevice`.

        """
        from terntable.host.devices.opening import open_device
        from terntable.host.models import load_program

        if device == "pynq" and preset is None:
            from terntable.host.board.bitfile import preset_of

            preset = preset_of(options.get("bitfile"))
        program = load_program(model, preset, shortlist=head == "two-stage", progress=progress)
        opened = open_device(device, program.config, memory_bytes=memory_needed(program), progress=progress,
                             **options)
        try:
            session = cls(opened, program, progress=progress, head=head)
        except BaseException:
            opened.close()
            raise
        session._owns_device = True
        return session

    @property
    def length(self) -> int:
        """Committed tokens."""
        return self._length

    @property
    def context(self) -> int:
        """Most tokens that the sequence can hold."""
        return self.program.shape.context

    @property
    def vocab(self) -> int:
        """Number of tokens."""
        return self.program.shape.vocab

    def rollback(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        if not 0 <= length <= self._length:
            raise SessionError(f"A rollback to {length} is impossible: the session holds {self._length} "
                               "tokens")
        self._length, self._parents = length, []

    def kv_bytes(self) -> NDArray[np.uint8]:
        """A copy of the KV cache, laid out as `program.kv` says; slots past the length hold leftovers."""
        self._kv.invalidate()
        return np.array(self._kv)

    def restore(self, cache: NDArray[np.uint8], length: int) -> None:
        """Take over a KV cache, laid out as :meth:`kv_bytes` gives it, whose first `length` slots hold committed tokens."""
        if cache.dtype != np.uint8 or cache.shape != (self.program.kv.total_bytes,):
            raise SessionError(f"The cache is {cache.dtype} of shape {cache.shape}, but must be "
                               f"{self.program.kv.total_bytes} bytes")
        if not 0 <= length <= self.context:
            raise SessionError(f"A length of {length} is outside 0 to {self.context}, the context")
        self._kv[:] = cache
        self._kv.flush()
        self._length, self._parents = length, []

    def extend(self, tokens: ArrayLike) -> Counters:
        """Run and commit tokens without asking for what follows them, so that the head is not read; counters of the passes."""
        return self._run_all(tokens, None, RowFlag(0)).counters

    def prefill(self, tokens: ArrayLike | None = None, *, embeddings: ArrayLike | None = None,
                logits: bool = False) -> PassResult:
        """Run and commit any number of tokens, or of input vectors, in passes of up to M rows.

        Parameters
        ----------
        tokens : ids (n,).
        embeddings : instead of tokens, float32 (n, hidden).
        logits : also fetch full logits.

        Returns
        -------
        PassResult
            One row: what follows the last token.

        Raises
        ------
        SessionError
            The input is malformed or too long; nothing was done.
        DeviceFault, DeviceTimeout
            A pass failed; the session is as before and usable.

        """
        return self._run_all(tokens, embeddings, RowFlag.TOP_K | (RowFlag.LOGITS if logits else RowFlag(0)))

    def _run_all(self, tokens: ArrayLike | None, embeddings: ArrayLike | None, wanted: RowFlag) -> PassResult:
        """Run and commit an input in full passes, the last row with the flags `wanted`; the session is as before if one fails."""
        ids, vectors, count = self._input(tokens, embeddings)
        self._check_room(count)
        before, total, result = self._length, Counters(), None
        try:
            for start in range(0, count, self.program.config.rows):
                part = slice(start, min(start + self.program.config.rows, count))
                rows = row_records(tokens=None if ids is None else ids[part],
                                   parents=check_parents(None, part.stop - start), length=self._length)
                if part.stop == count:
                    rows["flags"][-1] = wanted
                if vectors is not None:
                    rows["flags"] |= RowFlag.VECTOR
                result = self._pass(rows, None if vectors is None else vectors[part])
                total = add_counters(total, result.counters)
                self._length += len(rows)
        except BaseException:
            self._length = before
            raise
        finally:
            self._parents = []
        assert result is not None
        return PassResult(result.best, result.top, result.logits, total)

    def decode(self, token: int, *, logits: bool = False) -> PassResult:
        """Run and commit one token; one row, as :meth:`prefill`."""
        return self.prefill([token], logits=logits)

    def verify(self, tokens: ArrayLike | None = None, parents: Sequence[int] | None = None, *,
               embeddings: ArrayLike | None = None, vectors: Mapping[int, ArrayLike] | None = None,
               logits: bool = False) -> PassResult:
        """Run a tree of up to M nodes without committing it; a result row for each node.

        Parameters
        ----------
        tokens, embeddings : of the nodes, as :meth:`prefill`.
        parents : of each node, before it; -1 for nodes that follow the last committed token. A chain if None.
        vectors : node -> float32 (hidden,) that enters in place of its token.

        """
        ids, inputs, count = self._input(tokens, embeddings)
        if count > self.program.config.rows:
            raise SessionError(f"A tree of {count} nodes does not fit a pass of {self.program.config.rows} "
                               "rows")
        tree = check_parents(parents, count)
        self._check_room(count)
        rows = row_records(tokens=ids, parents=tree, length=self._length)
        rows["flags"] = RowFlag.TOP_K | (RowFlag.LOGITS if logits else 0)
        if inputs is not None:
            rows["flags"] |= RowFlag.VECTOR
        elif vectors:
            nodes = sorted(vectors)
            if not 0 <= nodes[0] <= nodes[-1] < count:
                raise SessionError(f"Vectors were given for nodes {nodes[0]} to {nodes[-1]} of a tree of {count}")
            inputs = np.zeros((count, self.program.shape.hidden), np.float32)
            inputs[nodes] = check_vectors(np.stack([np.asarray(vectors[node]) for node in nodes]), inputs.shape[1])
            rows["flags"][nodes] |= RowFlag.VECTOR
        self._parents = []
        result = self._pass(rows, inputs)
        self._parents = tree
        return result

    def commit(self, path: Sequence[int]) -> Counters:
        """Keep the verified nodes on `path`, from a root down; counters of the pass that moves them."""
        nodes = check_path(path, self._parents)
        moves = [(source, target) for target, source in enumerate(nodes) if source != target]
        counters = Counters()
        if moves:
            rows = np.zeros(len(moves), ROW)
            rows["token"], rows["slot"] = self._length + np.array(moves).T
            counters = self._move(rows)
        self._length += len(nodes)
        self._parents = []
        return counters

    def generate(self, prompt: str, max_tokens: int = 32, *, method: str | None = None, **options) -> Iterator[str]:
        """Stream the text that follows `prompt` in a fresh sequence.

        Parameters
        ----------
        method : of `terntable methods`, with options as NAME:option=value; one token a pass if None.
        options : of :func:`terntable.host.generate.generate`.

        """
        from terntable.host.generate import generate
        from terntable.host.text import encode_prompt, load_tokenizer

        tokenizer = load_tokenizer(self.program.tokenizer.tobytes())
        tokens = encode_prompt(tokenizer, prompt, self.program.shape.bos)
        shape = self.program.shape
        self.rollback(0)
        given = options | {"max_tokens": max_tokens, "tokenizer": tokenizer, "eos": shape.eos}
        if method is None:
            steps = generate(self, tokens, **given)
        else:
            from terntable.host.decoding.accelerator_target import AcceleratorTarget
            from terntable.host.decoding.registry import parse_method
            from terntable.host.decoding.stream import stream_method

            chosen, own = parse_method(method)
            steps = stream_method(AcceleratorTarget(self), chosen, tokens, options=own, model=shape.name, **given)
        for step in steps:
            if step.text:
                yield step.text

    def close(self) -> None:
        """Give back the buffers, the program unless it is shared, and the device that :meth:`open` opened."""
        for buffer in self._buffers:
            buffer.freebuffer()
        self._buffers = []
        if self._owns_program:
            self.loaded.free()
        if self._owns_device:
            self.device.close()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 where: TracebackType | None) -> None:
        self.close()

    def _allocate(self, shape: int | tuple[int, ...], dtype: DTypeLike = np.uint8) -> Buffer:
        self._buffers.append(self.device.allocate(shape, dtype))
        return self._buffers[-1]

    def _input(self, tokens: ArrayLike | None, embeddings: ArrayLike | None,
               ) -> tuple[NDArray[np.int64] | None, NDArray[np.float32] | None, int]:
        if (tokens is None) == (embeddings is None):
            raise SessionError("A pass takes either tokens or embeddings")
        if tokens is not None:
            ids = check_tokens(tokens, self.vocab)
            return ids, None, len(ids)
        assert embeddings is not None
        vectors = check_vectors(embeddings, self.program.shape.hidden)
        return None, vectors, len(vectors)

    def _check_room(self, count: int) -> None:
        if self._length + count > self.context:
            raise SessionError(f"{count} tokens do not fit: {self._length} of the context's {self.context} "
                               "are in use")

    def _pass(self, rows: NDArray, vectors: NDArray[np.float32] | None) -> PassResult:
        """One pass over row records; where a row's flags ask for a vector, the address of its own of (rows, hidden) is set here."""
        program = self.program
        if vectors is not None:
            self._vectors[:len(rows), :vectors.shape[1]] = vectors
            self._vectors.flush()
            marked = np.flatnonzero(rows["flags"] & RowFlag.VECTOR)
            rows["vector"][marked] = self._vectors.device_address + marked * self._vectors.strides[0]
        counters = self._run(rows, "program", program.stream_words, program.head_words,
                             program.shortlist_words if self.head == "two-stage" else 0)
        flags = rows["flags"]
        asked = np.flatnonzero(flags & (RowFlag.TOP_K | RowFlag.LOGITS))
        self._results.invalidate()
        top = np.array(self._results[asked, :RESULT.itemsize * program.config.top_k]).view(RESULT)
        logits = None
        if (flags & RowFlag.LOGITS).any():
            self._logits.invalidate()
            logits = np.array(self._logits[asked, :program.shape.vocab])
        return PassResult(top["index"][:, 0].astype(np.int64), top, logits, counters)

    def _move(self, rows: NDArray) -> Counters:
        """Compact the KV cache."""
        return self._run(rows, "moves", 0, 0, 0)

    def _run(self, rows: NDArray, part: str, stream_words: int, head_words: int, shortlist_words: int) -> Counters:
        device, address = self.device, self.loaded.address
        shortlist = address["stream"] + (stream_words + head_words) * self.program.config.word_bytes
        self._rows[:len(rows)] = rows
        self._rows.flush()
        deadline = LEAST_DEADLINE + CYCLES_PER_BEAT * (stream_words + head_words)
        for name, value in (
            ("rows", len(rows)), ("watchdog", deadline), ("stream_words", stream_words),
            ("head_words", head_words), ("shortlist_words", shortlist_words), ("shortlist_base", shortlist),
            ("program_base", address[part]), ("rows_base", self._rows.device_address),
            ("stream_base", address["stream"]),
            ("embed_base", address["embed"]), ("rope_base", address["rope"]),
            ("kv_base", self._kv.device_address),
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

