"""A model of transformers run layer by layer: rows that leave after some layers and go on later, and rows that enter between.

There is no transformer here: the model's own layers are called with its own cache. A model has the structure if it keeps its parts
where Llama does and if two tokens, run by its parts, have the logits that the whole model gives them; others run as a whole.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from terntable.host.decoding.capabilities import Capability
from terntable.host.decoding.scores import Scores
from terntable.host.decoding.torch_target import TorchTarget, _numpy, scores_of
from terntable.host.decoding.tree import DraftTree, Inject
from terntable.host.errors import SessionError

__all__ = ["LayeredTarget", "run_layers"]

#: Difference of logits, by their largest, up to which the parts are held for the whole.
CLOSE = 0.02


#: What a model keeps below `model`, if it is built as Llama is.
STRUCTURE = ("embed_tokens", "layers", "norm", "rotary_emb")


def run_layers(model: Any, states: Tensor, layers: Sequence[int], positions: Tensor, mask: Tensor, cache: Any) -> Tensor:
    """States (B, n, width) after some layers of a model, whose keys and values go into a cache.

    Parameters
    ----------
    positions : (B, n).
    mask : added to attention scores, (B, 1, n, columns); the last n columns are these rows.

    """
    around = model.model.rotary_emb(states, position_ids=positions)
    for index in layers:
        out = model.model.layers[index](states, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True,
                                        position_embeddings=around)
        states = out[0] if isinstance(out, tuple) else out
    return states


class LayeredTarget(TorchTarget):
    """As :class:`TorchTarget`, with early exits and mid-layer probes where the model has layers like Llama's.

    Attributes
    ----------
    layer_rows : rows that layers were run for here, one for each layer and row; passes of the whole model are not among them.
    ahead : tokens behind the committed ones that have run through the first layers only.

    """

    def __init__(self, model: Any, *, device: str | torch.device | None = None, dtype: torch.dtype | None = None,
                 context: int | None = None) -> None:
        super().__init__(model, device=device, dtype=dtype, context=context)
        self.layer_rows = 0
        self.ahead: list[int] = []
        self._exit = 0
        self._trace: list[list[Tensor]] = []
        if self._has_layers():
            self.capabilities |= Capability.EARLY_EXIT
            # Where a tree has no mask, neither do probes.
            if Capability.TREE in self.capabilities:
                self.capabilities |= Capability.MID_INJECT

    def exit_logits(self, states: Tensor) -> Tensor:
        """Logits (n, vocab) of states (n, width) that leave after any layer: through the last norm and the output layer."""
        with torch.inference_mode():
            return self.head(self._norm(states))

    def exit_law(self, tokens: Sequence[int], layer: int) -> Tensor:
        """Logits (vocab,) after the last of tokens that run ahead."""
        return self.exit_logits(self.run_ahead(tokens, layer)[-1:])[0]

    def run_ahead(self, tokens: Sequence[int], layer: int) -> Tensor:
        """States (n, width) of tokens behind those that ran ahead before, after the first `layer` layers.

        The next tree goes on from there if it begins with the same tokens; until then all must leave at the same layer.
        """
        if Capability.EARLY_EXIT not in self.capabilities:
            raise SessionError(f"The layers of a {type(self.model).__name__} cannot be run one by one")
        if not 1 <= layer < self.layers:
            raise SessionError(f"Exit {layer} is outside 1 to {self.layers - 1}")
        if self._parents:
            self.rollback(self._length)
        if self.ahead and layer != self._exit:
            raise SessionError(f"Rows that left at layer {self._exit} are waiting, so none can leave at layer {layer}")
        if not self.ahead:
            self._exit, self._trace = layer, [[] for _ in range(layer + 1)]
        start, count = self._length + len(self.ahead), len(tokens)
        if start + count > self._context:
            raise SessionError(f"{count} tokens do not fit: {start} of the context's {self._context} are in use")
        states = self.embed(tokens)
        self._trace[0].append(states)
        for index in range(layer):
            states = self._layer(index, states, range(start, start + count), self._causal(count, start))
            self._trace[index + 1].append(states)
        self.ahead += tokens
        return states

    def score(self, tree: DraftTree, prefix: Sequence[int] = (), *, logits: bool = False,
              hidden: Sequence[int] = ()) -> Scores:
        """As `DecodingTarget.score`; rows that ran ahead go on from where they left."""
        rows = [*prefix, *tree.tokens]
        if self.ahead and not tree.probes and tree.is_chain and rows[:len(self.ahead)] == self.ahead:
            return self._go_on(tree, rows, hidden, logits)
        if self.ahead:
            self.rollback(self._length)
        if any(isinstance(content, Inject) for content in tree.probes.values()):
            return self._inject(tree, prefix, hidden, logits)
        return super().score(tree, prefix, logits=logits, hidden=hidden)

    def rollback(self, length: int) -> None:
        """Forget all but the first `length` tokens, and what ran ahead."""
        super().rollback(length)
        self.ahead, self._trace = [], []

    def _go_on(self, tree: DraftTree, rows: list[int], hidden: Sequence[int], logits: bool) -> Scores:
        """Run what did not run ahead up to the same layer, then all rows together through the others."""
        before = self._length
        try:
            if len(rows) > len(self.ahead):
                self.run_ahead(rows[len(self.ahead):], self._exit)
            kept = [torch.cat(parts) for parts in self._trace]
            for index in range(self._exit, self.layers):
                kept.append(self._layer(index, kept[-1], range(before, before + len(rows)), self._causal(len(rows), before)))
            kept[-1] = self._norm(kept[-1])
            given = self.head(kept[-1][-len(tree):])
        except BaseException:
            self.rollback(before)
            raise
        self.ahead, self._trace = [], []
        self._length, self._parents = before + len(rows) - len(tree), tree.parents
        return self._scores(given, logits, {layer: kept[layer if layer >= 0 else self.layers] for layer in hidden})

    def _inject(self, tree: DraftTree, prefix: Sequence[int], hidden: Sequence[int], logits: bool) -> Scores:
        """Run the tokens, and from its layer on each probe; rows are the tokens first, then the probes by layer."""
        nodes, skip, before = len(tree) - len(tree.probes), len(prefix), self._length
        layers = {node: self._check(tree, node) for node in range(nodes, len(tree))}
        if hidden or len(layers) < len(tree.probes):
            raise SessionError("Probes that enter between layers must come after all tokens, and leave no hidden states")
        if before + skip + len(tree) > self._context or len(tree) > self.rows:
            raise SessionError(f"{skip + len(tree)} rows do not fit: {before} of the context's {self._context} are in use")
        if self._parents:
            self.rollback(before)
        order = [*range(nodes), *sorted(layers, key=lambda node: layers[node])]
        places = [*range(before, before + skip), *(before + skip + tree.depths[node] for node in order)]
        rows = [*range(skip), *(skip + node for node in order)]
        mask = self._mask(tree, before, skip)[:, :, rows][..., [*range(before), *(before + row for row in rows)]]
        try:
            states = self.embed([*prefix, *tree.tokens[:nodes]])
            for index in range(self.layers + 1):
                new = [tree.probes[node].weights @ states[skip + tree.anchor(node)] for node in order[nodes:]
                       if layers[node] == index]
                states = torch.cat([states, torch.stack(new)]) if new else states
                if index < self.layers:
                    count = len(states)
                    states = self._layer(index, states, places[:count], mask[:, :, :count, :before + count])
            given = self.exit_logits(states[skip:])[[order.index(node) for node in range(len(tree))]]
        except BaseException:
            self.rollback(before)
            raise
        self._length, self._parents = before + skip, tree.parents
        return self._scores(given, logits, {})

    def _check(self, tree: DraftTree, node: int) -> int:
        """Layer of a probe."""
        content = tree.probes.get(node)
        if not isinstance(content, Inject) or not 0 <= content.layer <= self.layers:
            raise SessionError(f"Node {node} is no probe that enters after 0 to {self.layers} layers, but one with the others is")
        if Capability.MID_INJECT not in self.capabilities:
            raise SessionError(f"The layers of a {type(self.model).__name__} cannot be run one by one")
        return content.layer

    def _layer(self, index: int, states: Tensor, positions: Sequence[int], mask: Tensor) -> Tensor:
        with torch.inference_mode(), torch.compiler.set_stance("force_eager"):
            self.layer_rows += len(states)
            return run_layers(self.model, states[None], [index], self._tensor([list(positions)]), mask, self._cache)[0]

    def _norm(self, states: Tensor) -> Tensor:
        with torch.inference_mode():
            return self.model.model.norm(states)

    def _causal(self, rows: int, before: int) -> Tensor:
        """What is added to attention scores, (1, 1, rows, before + rows)."""
        lowest = torch.finfo(self.model.dtype).min
        mask = torch.full((rows, before + rows), lowest, dtype=self.model.dtype, device=self.device)
        return mask.triu(before + 1)[None, None]

    def _scores(self, given: Tensor, logits: bool, hidden: dict[int, Tensor]) -> Scores:
        scores = scores_of(given, logits=logits)
        scores.hidden = hidden
        return scores

    def _has_layers(self) -> bool:
        """Whether the parts of the model give what the whole gives."""
        if not all(hasattr(getattr(self.model, "model", None), name) for name in STRUCTURE):
            return False
        tokens = [0, self._vocab - 1][:self._context]
        whole = super().score(DraftTree(tokens[-1]), tokens[:-1], logits=True).logits[0]
        self.rollback(0)
        try:
            states = self.embed(tokens)
            for index in range(self.layers):
                states = self._layer(index, states, range(len(tokens)), self._causal(len(tokens), 0))
            parts = _numpy(self.exit_logits(states))[-1]
        except (AttributeError, TypeError, ValueError, RuntimeError):
            # Layers that want something else than Llama's.
            return False
        finally:
            self.rollback(0)
            self.layer_rows = 0
        return bool(np.abs(parts - whole).max() <= CLOSE * np.abs(whole).max())
