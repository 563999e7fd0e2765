"""A session on the accelerator, or on its golden model, as a target."""

from collections.abc import Sequence

import numpy as np

from terntable.host.decoding.capabilities import Capability
from terntable.host.decoding.scores import Scores
from terntable.host.decoding.tree import DraftTree
from terntable.host.errors import SessionError
from terntable.host.session import Session
from terntable.host.target import Counters, add_counters

__all__ = ["AcceleratorTarget"]


class AcceleratorTarget:
    """Verifies trees of up to M rows, the preset's, in one pass.

    Parameters
    ----------
    session : is used for one sequence, from its start.

    """

    capabilities = Capability.CHAIN | Capability.TREE | Capability.FULL_LAW | Capability.EMBED_INPUT

    def __init__(self, session: Session) -> None:
        self.session, self.name = session, session.device.name
        self.rows = session.program.config.rows
        shape = session.program.shape
        self.layers = shape.layers
        self.layer_weights = session.program.weights // shape.layers
        self._tail = 0

    @property
    def length(self) -> int:
        """Committed tokens, those of a prefix that went with a tree among them."""
        return self.session.length + self._tail

    @property
    def context(self) -> int:
        """Most tokens that the sequence can hold."""
        return self.session.context

    @property
    def vocab(self) -> int:
        """Number of tokens."""
        return self.session.vocab

    def score(self, tree: DraftTree, prefix: Sequence[int] = (), *, logits: bool = False,
              hidden: Sequence[int] = ()) -> Scores:
        """As `DecodingTarget.score`; what fits beside the tree of a prefix goes with it into the last pass."""
        if hidden:
            raise SessionError(f"Target {self.name} gives no hidden states")
        if len(tree) > self.rows:
            raise SessionError(f"A tree of {len(tree)} nodes does not fit a pass of {self.rows} rows")
        self._settle()
        before, counters = self.length, Counters()
        tail = min(len(prefix), self.rows - len(tree))
        try:
            if len(prefix) > tail:
                counters = self.session.extend(list(prefix)[:len(prefix) - tail])
            tokens = [*list(prefix)[len(prefix) - tail:], *tree.tokens]
            parents = [*range(-1, tail - 1), *(tail + parent if parent >= 0 else tail - 1 for parent in tree.parents)]
            vectors = {tail + node: np.asarray(what, np.float32) for node, what in tree.probes.items()}
            result = self.session.verify(tokens, parents, vectors=vectors, logits=logits)
        except BaseException:
            self.session.rollback(before)
            raise
        self._tail = tail
        values, top = result.logits, result.top
        return Scores(result.best[tail:].tolist(), None if values is None else values[tail:],
                      counters=add_counters(counters, result.counters),
                      top=None if top is None else lambda node, count: top["index"][tail + node, :count].tolist())

    def commit(self, path: Sequence[int]) -> Counters:
        """As `DecodingTarget.commit`."""
        counters = self.session.commit([*range(self._tail), *(self._tail + node for node in path)])
        self._tail = 0
        return counters

    def rollback(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        self._settle()
        self.session.rollback(length)

    def _settle(self) -> None:
        """Give up the tree that was scored last, but keep the rows of its prefix, which are where they belong already."""
        if self._tail:
            self.session.commit(range(self._tail))
        self._tail = 0
