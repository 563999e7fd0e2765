"""A session on the accelerator, or on its golden model, as a target."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from terntable.host.decoding.capabilities import Capability
from terntable.host.decoding.scores import Scores
from terntable.host.decoding.tree import DraftTree, Inject
from terntable.host.errors import SessionError
from terntable.host.rows import check_nodes
from terntable.host.session import Session
from terntable.host.target import Counters, PassResult, add_counters

if TYPE_CHECKING:
    # Plain methods must not need torch.
    from torch import Tensor

    from terntable.host.decoding.host_layers import HostLayers

__all__ = ["AcceleratorTarget"]


class AcceleratorTarget:
    """Verifies trees of up to M rows, the preset's, in one pass.

    States of layers come out in INT8, see :class:`terntable.host.states.StateLayout`. So what is drafted from them may not be what
    other targets draft; what is verified is exact. States, and what the host runs of the model, are tensors, float32 on the CPU.

    Parameters
    ----------
    session : is used for one sequence, from its start.

    """

    capabilities = (Capability.CHAIN | Capability.TREE | Capability.FULL_LAW | Capability.LAST_HIDDEN | Capability.ALL_HIDDEN
                    | Capability.EARLY_EXIT | Capability.EMBED_INPUT | Capability.MID_INJECT)

    def __init__(self, session: Session) -> None:
        self.session, self.name = session, session.device.name
        self.rows = session.program.config.rows
        shape = session.program.shape
        self.layers, self.width = shape.layers, shape.hidden
        self.layer_weights = session.program.weights // shape.layers
        self._tail = 0
        self._drafting = Counters()

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

    @property
    def device(self) -> Any:
        """Where the parts of the model are that the host runs."""
        import torch

        return torch.device("cpu")

    @property
    def dtype(self) -> Any:
        """Numbers of these parts."""
        import torch

        return torch.float32

    def score(self, tree: DraftTree, prefix: Sequence[int] = (), *, logits: bool = False,
              hidden: Sequence[int] = ()) -> Scores:
        """As `DecodingTarget.score`; what fits beside the tree of a prefix goes with it into the last pass."""
        check_nodes(len(tree), self.rows)
        self._settle()
        entering = {node: what for node, what in tree.probes.items() if isinstance(what, Inject)}
        if entering and (len(entering) < len(tree.probes) or min(entering) < len(tree) - len(entering)):
            raise SessionError("Probes that enter between layers must come after all tokens, and with no others")
        self._keep({*hidden, *(what.layer for what in entering.values())})
        before, counters = self.length, self._drafting
        self._drafting = Counters()
        tail = min(len(prefix), self.rows - len(tree))
        first, last = list(prefix)[:len(prefix) - tail], list(prefix)[len(prefix) - tail:]
        try:
            if first:
                counters = add_counters(counters, self.session.extend(first))
            if entering:
                result, order = self._between(tree, last, entering, logits)
            else:
                result, order = self._whole(tree, last, logits), [*range(tail, tail + len(tree))]
            states = {layer: self.session.states(layer, before, len(prefix) + len(tree)) for layer in hidden}
        except BaseException:
            self.session.rollback(before)
            raise
        self._tail = tail
        values, top = result.logits, result.top
        return Scores([int(result.best[row]) for row in order], None if values is None else values[order],
                      counters=add_counters(counters, result.counters), hidden=_tensors(states),
                      top=None if top is None else lambda node, count: top["index"][order[node], :count].tolist())

    def exit_law(self, tokens: Sequence[int], layer: int) -> "Tensor":
        """Logits (vocab,) after the last of tokens that run through the first layers and the head; they follow those before."""
        import torch

        self._settle()
        result = self.session.run_ahead(list(tokens), layer, logits=True)
        self._drafting = add_counters(self._drafting, result.counters)
        assert result.logits is not None
        return torch.from_numpy(result.logits[0])

    def exit_logits(self, states: "Tensor") -> "Tensor":
        """Logits (..., vocab) of states (..., width) that leave after any layer, made on the host."""
        return self.head(self._host.norm(states))

    def embed(self, tokens: Sequence[int]) -> "Tensor":
        """Input vectors (n, width) of tokens."""
        return self._host.embed(tokens)

    def head(self, states: "Tensor") -> "Tensor":
        """Logits (..., vocab) of states (..., width) that enter the output layer, made on the host."""
        return self._host.head(states)

    def commit(self, path: Sequence[int]) -> Counters:
        """As `DecodingTarget.commit`."""
        counters = self.session.commit([*range(self._tail), *(self._tail + node for node in path)])
        self._tail = 0
        return counters

    def rollback(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        self._settle()
        self.session.rollback(length)

    def _whole(self, tree: DraftTree, tail: list[int], logits: bool) -> PassResult:
        tokens, parents = [*tail, *tree.tokens], _parents(len(tail), tree.parents)
        vectors = {len(tail) + node: np.asarray(what, np.float32) for node, what in tree.probes.items()}
        return self.session.verify(tokens, parents, vectors=vectors, logits=logits)

    def _between(self, tree: DraftTree, tail: list[int], entering: Mapping[int, Inject], logits: bool,
                 ) -> tuple[PassResult, list[int]]:
        """A pass with probes that enter between its layers, those of the first layers first, and each node's row."""
        tokens = [*tail, *tree.tokens[:len(tree) - len(entering)]]
        nodes = [*range(len(tree) - len(entering)), *sorted(entering, key=lambda node: entering[node].layer)]
        place = {node: row for row, node in enumerate(nodes)}
        parents = _parents(len(tail), [place[parent] if parent >= 0 else -1 for parent in (tree.parents[node] for node in nodes)])

        def content(row: int, states: np.ndarray) -> np.ndarray:
            node = nodes[row - len(tail)]
            return (np.asarray(entering[node].weights) @ states[len(tail) + tree.anchor(node)]).astype(np.float32)

        layers = [entering[node].layer for node in nodes if node in entering]
        result = self.session.verify_between(tokens, parents, layers, content, logits=logits)
        return result, [len(tail) + place[node] for node in range(len(tree))]

    def _keep(self, layers: set[int]) -> None:
        """Have the states of layers kept, and at the start of a sequence no others."""
        kept = set(self.session.kept_states)
        if not self.length or not layers <= kept:
            self.session.keep_states([*layers, *(kept if self.length else ())])

    def _settle(self) -> None:
        """Give up the tree that was scored last, but keep the rows of its prefix, which are where they belong already."""
        if self._tail:
            self.session.commit(range(self._tail))
        self._tail = 0

    @cached_property
    def _host(self) -> "HostLayers":
        from terntable.host.decoding.host_layers import HostLayers

        return HostLayers(self.session.program)


def _parents(tail: int, parents: Sequence[int]) -> list[int]:
    """Parents of a chain of `tail` rows, and of a tree's nodes behind it."""
    return [*range(-1, tail - 1), *(tail + parent if parent >= 0 else tail - 1 for parent in parents)]


def _tensors(states: Mapping[int, np.ndarray]) -> dict[int, Any]:
    if not states:
        return {}
    import torch

    return {layer: torch.from_numpy(values) for layer, values in states.items()}
