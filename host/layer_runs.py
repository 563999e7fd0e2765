"""What a session runs layer by layer: rows that enter between layers, and rows that leave early."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from terntable.host.errors import SessionError
from terntable.host.excerpt import Part
from terntable.host.program import Program
from terntable.host.rows import check_nodes, check_parents, check_tokens, check_vectors, row_records
from terntable.host.target import Counters, PassResult, add_counters
from terntable.hw.spec.program import RowFlag

__all__ = ["LayerRuns"]


class LayerRuns(ABC):
    """A part of :class:`terntable.host.session.Session`, whose attributes these are.

    A pass is cut into several, each with its own doorbell. What the rows hold stays on the chip between them.
    """

    program: Program
    _length: int
    _parents: list[int]
    #: Tokens behind the committed ones that ran through the first layers only, and through how many.
    _ahead: int
    _exit: int = 0

    @property
    @abstractmethod
    def vocab(self) -> int:
        """Number of tokens."""

    @property
    @abstractmethod
    def kept_states(self) -> tuple[int, ...]:
        """Layers whose states are kept."""

    @abstractmethod
    def states(self, layer: int, first: int, count: int) -> NDArray[np.float32]:
        """States (count, hidden) of slots."""

    @abstractmethod
    def _check_room(self, count: int) -> None: ...

    @abstractmethod
    def _pass(self, rows: NDArray, vectors: NDArray[np.float32] | None, part: Part | None = None) -> PassResult: ...

    def verify_between(self, tokens: ArrayLike, parents: Sequence[int], layers: Sequence[int],
                       content: Callable[[int, NDArray[np.float32]], ArrayLike], *, logits: bool = False) -> PassResult:
        """As :meth:`verify`, with rows behind those of the tokens that enter between layers. Each weight is still read once.

        Parameters
        ----------
        tokens : ids of the first nodes.
        parents : of all nodes.
        layers : after how many layers, 1 to all but one, each further node enters; not falling, and all among the layers whose
            states are kept.
        content : float32 (hidden,) that a node enters with, from its number and the states (nodes, hidden) that the nodes before
            it have after that layer.

        """
        ids, most = check_tokens(tokens, self.vocab), self.program.shape.layers
        if not all(1 <= layer < most for layer in layers) or list(layers) != sorted(layers):
            raise SessionError(f"Rows must enter after 1 to {most - 1} layers, none after fewer than the one before, not {layers}")
        if lacking := sorted(set(layers) - set(self.kept_states)):
            raise SessionError(f"Rows cannot enter after layer {lacking[0]}, since its states are not kept")
        there, count = len(ids), len(ids) + len(layers)
        check_nodes(count, self.program.config.rows)
        tree = check_parents(parents, count)
        self._check_room(count)
        rows = row_records(tokens=np.concatenate([ids, np.zeros(len(layers), np.int64)]), parents=tree, length=self._length)
        self._ahead, self._parents = 0, []
        total, vectors, start = Counters(), None, 0
        for layer in sorted(set(layers)):
            total = add_counters(total, self._pass(rows[:there], vectors, Part(start, layer)).counters)
            states = self.states(layer, self._length, there)
            entering = [number for number in range(there, count) if layers[number - len(ids)] == layer]
            vectors = np.zeros((there + len(entering), states.shape[1]), np.float32)
            vectors[entering] = check_vectors(np.stack([np.asarray(content(number, states)) for number in entering]),
                                              states.shape[1])
            rows["flags"][:there], rows["flags"][entering] = RowFlag.KEEP, RowFlag.VECTOR
            start, there = layer, there + len(entering)
        rows["flags"] |= RowFlag.TOP_K | (RowFlag.LOGITS if logits else 0)
        result = self._pass(rows, vectors, Part(start, most, head=True))
        self._parents = tree
        return PassResult(result.best, result.top, result.logits, add_counters(total, result.counters))

    def run_ahead(self, tokens: ArrayLike, layers: int, *, logits: bool = False) -> PassResult:
        """Run tokens through the first layers only, then the last of them through the head; one row, and nothing is committed.

        The tokens follow those that ran ahead before, which must have left after as many layers. Any other pass forgets them all.
        """
        ids, most = check_tokens(tokens, self.vocab), self.program.shape.layers
        if not 1 <= layers < most:
            raise SessionError(f"Exit {layers} is outside 1 to {most - 1}")
        if self._ahead and layers != self._exit:
            raise SessionError(f"Rows that left at layer {self._exit} are waiting, so none can leave at layer {layers}")
        self._check_room(self._ahead + len(ids))
        self._parents, self._exit = [], layers
        total, ahead = Counters(), self._ahead
        for start in range(0, len(ids), self.program.config.rows):
            part = ids[start:start + self.program.config.rows]
            rows = row_records(tokens=part, parents=check_parents(None, len(part)), length=self._length + ahead)
            total = add_counters(total, self._pass(rows, None, Part(0, layers, states=False)).counters)
            ahead += len(part)
        # The rows of the last of these passes are where it left them.
        rows["flags"][-1] = RowFlag.TOP_K | (RowFlag.LOGITS if logits else 0)
        result = self._pass(rows, None, Part(most, most, loads=False, head=True, states=False))
        self._ahead = ahead
        return PassResult(result.best, result.top, result.logits, add_counters(total, result.counters))
