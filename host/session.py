"""A sequence on a device: prefill, decode, verify, commit, rollback."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.host.device import Device
from terntable.host.errors import SessionError
from terntable.host.excerpt import Part
from terntable.host.layer_runs import LayerRuns
from terntable.host.loaded import LoadedProgram, memory_needed
from terntable.host.pass_runner import PassRunner
from terntable.host.program import Program
from terntable.host.rows import check_nodes, check_parents, check_path, check_tokens, check_vectors, row_records
from terntable.host.target import Counters, PassResult, add_counters
from terntable.hw.spec.program import ROW, RowFlag

__all__ = ["HEADS", "Session"]

#: How the best tokens of a row are found.
HEADS = ("exact", "two-stage")


class Session(LayerRuns):
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
    runner : has the buffers.

    """

    def __init__(self, device: Device, program: Program, *, loaded: LoadedProgram | None = None,
                 progress: Callable[[str], None] | None = None, head: str = "exact") -> None:
        if head not in HEADS:
            raise SessionError(f"The head must be {' or '.join(HEADS)}, not {head!r}")
        if head == "two-stage" and not program.shortlist_words:
            raise SessionError("The program has no shortlist, which the two-stage head needs: compile it with --shortlist")
        self.device, self.program, self.head = device, program, head
        self._owns_program, self._owns_device = loaded is None, False
        self.loaded = LoadedProgram(device, program, progress=progress) if loaded is None else loaded
        if self.loaded.device is not device or self.loaded.program is not program:
            raise SessionError("The loaded program belongs to another device or is another program")
        self._length = self._ahead = 0
        self._parents: list[int] = []
        try:
            self.runner = PassRunner(device, self.loaded, two_stage=head == "two-stage")
        except BaseException:
            if self._owns_program:
                self.loaded.free()
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
        needed = memory_needed(program, states=device != "pynq")
        opened = open_device(device, program.config, memory_bytes=needed, progress=progress, **options)
        try:
            session = cls(opened, program, progress=progress, head=head)
        except BaseException:
            opened.close()
            raise
        session._owns_device = True
        return session

    @property
    def on_cycles(self) -> Callable[[int], None] | None:
        """Called now and then with the cycles that a running pass has taken."""
        return self.runner.on_cycles

    @on_cycles.setter
    def on_cycles(self, call: Callable[[int], None] | None) -> None:
        self.runner.on_cycles = call

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
        self._length, self._ahead, self._parents = length, 0, []

    def keep_states(self, layers: Sequence[int]) -> None:
        """Let every pass from now on leave the states of some layers in memory, for :meth:`states`.

        Parameters
        ----------
        layers : i below the number of layers is what layer i gives, counted from 1, and 0 what enters the first;
            `terntable.host.states.LAST` is what enters the output layer. None costs nothing.

        Raises
        ------
        SessionError
            A layer that the model does not have.

        """
        self.runner.keep_states(layers)

    @property
    def kept_states(self) -> tuple[int, ...]:
        """Layers whose states every pass leaves in memory."""
        return self.runner.kept.layers

    def states(self, layer: int, first: int, count: int) -> NDArray[np.float32]:
        """States (count, hidden) of the slots from `first` on: committed tokens, then the rows of the last pass.

        They are INT8 with a scale for each row, see :meth:`terntable.host.states.StateLayout.read`.
        """
        if not 0 <= first <= first + count <= self.context:
            raise SessionError(f"Slots {first} to {first + count - 1} are not among the context's {self.context}")
        return self.runner.states(layer, first, count)

    def kv_bytes(self) -> NDArray[np.uint8]:
        """A copy of the KV cache, laid out as `program.kv` says; slots past the length hold leftovers."""
        self.runner.kv.invalidate()
        return np.array(self.runner.kv)

    def restore(self, cache: NDArray[np.uint8], length: int) -> None:
        """Take over a KV cache, laid out as :meth:`kv_bytes` gives it, whose first `length` slots hold committed tokens."""
        if cache.dtype != np.uint8 or cache.shape != (self.program.kv.total_bytes,):
            raise SessionError(f"The cache is {cache.dtype} of shape {cache.shape}, but must be "
                               f"{self.program.kv.total_bytes} bytes")
        if not 0 <= length <= self.context:
            raise SessionError(f"A length of {length} is outside 0 to {self.context}, the context")
        self.runner.kv[:] = cache
        self.runner.kv.flush()
        self._length, self._ahead, self._parents = length, 0, []

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
        self._ahead = 0
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
        check_nodes(count, self.program.config.rows)
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
        self._ahead, self._parents = 0, []
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
        self.runner.close()
        if self._owns_program:
            self.loaded.free()
        if self._owns_device:
            self.device.close()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 where: TracebackType | None) -> None:
        self.close()

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

    def _pass(self, rows: NDArray, vectors: NDArray[np.float32] | None, part: Part | None = None) -> PassResult:
        """A pass, or a part of one."""
        return self.runner.run(rows, vectors, part)

    def _move(self, rows: NDArray) -> Counters:
        """Compact the KV cache."""
        return self.runner.move(rows)
