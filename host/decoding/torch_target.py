"""Any causal language model of transformers as a target, on the CPU or a GPU, with its own attention and cache."""

import inspect
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache

from terntable.host.decoding.capabilities import Capability
from terntable.host.decoding.scores import Scores
from terntable.host.decoding.target import LAST
from terntable.host.decoding.tree import DraftTree
from terntable.host.errors import InputError, SessionError
from terntable.host.rows import check_nodes, check_path
from terntable.host.target import Counters

__all__ = ["ROWS", "TorchTarget", "keep_rows", "scores_of"]

#: Most nodes of a tree.
ROWS = 1024
#: Part of the names of what belongs to a layer.
_OF_LAYER = re.compile(r"\.(layers|h)\.\d+\.")


class TorchTarget:
    """One sequence in a model of transformers.

    Parameters
    ----------
    model : a causal language model; it stays as it is, but for being moved.
    device, dtype : where and in what numbers it shall run; what it has if None.
    context : most tokens; the default is what the model has positions for.

    Raises
    ------
    InputError
        The model takes no positions, or its cache cannot take tokens back.

    """

    name = "torch"
    rows = ROWS

    def __init__(self, model: Any, *, device: str | torch.device | None = None, dtype: torch.dtype | None = None,
                 context: int | None = None) -> None:
        self.model = model.to(device=device or model.device, dtype=dtype or model.dtype).eval()
        self._config = config = model.config.get_text_config()
        most = getattr(config, "max_position_embeddings", None)
        if most is None or getattr(config, "alibi", False) or "position_ids" not in inspect.signature(model.forward).parameters:
            raise InputError(f"A {type(model).__name__} takes no positions, without which drafts cannot be verified")
        self._context, self._vocab = most if context is None else context, config.vocab_size
        if not 1 <= self._context <= most:
            raise SessionError(f"A context of {context} is outside 1 to {most}")
        self.capabilities = (Capability.CHAIN | Capability.FULL_LAW | Capability.LAST_HIDDEN | Capability.ALL_HIDDEN
                             | Capability.EMBED_INPUT)
        # Local layers of GPT-Neo count places in the cache, not positions.
        if config._attn_implementation in ("sdpa", "eager") and "local" not in getattr(config, "attention_layers", ()):
            self.capabilities |= Capability.TREE
        self.layers, self.width = config.num_hidden_layers, config.hidden_size
        self.layer_weights = sum(weight.numel() for name, weight in model.named_parameters()
                                 if _OF_LAYER.search(name)) // self.layers
        self._cache: Any = self._fresh()
        self._length = 0
        self._parents: list[int] = []

    @property
    def length(self) -> int:
        """Committed tokens."""
        return self._length

    @property
    def context(self) -> int:
        """Most tokens that the sequence can hold."""
        return self._context

    @property
    def vocab(self) -> int:
        """Number of tokens."""
        return self._vocab

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    @property
    def dtype(self) -> torch.dtype:
        """Numbers that the model runs in."""
        return self.model.dtype

    def score(self, tree: DraftTree, prefix: Sequence[int] = (), *, logits: bool = False,
              hidden: Sequence[int] = ()) -> Scores:
        """As `DecodingTarget.score`; everything runs in one forward."""
        check_nodes(len(tree), self.rows)
        if not tree.is_chain and Capability.TREE not in self.capabilities:
            raise SessionError(f"The attention of a {type(self.model).__name__} takes no mask for trees")
        for layer in hidden:
            if layer != LAST and not 0 <= layer < self.layers:
                raise SessionError(f"Layer {layer} is not one of 0 to {self.layers - 1}, or {LAST} for the last states")
        if self._parents:
            self.rollback(self._length)
        before, rows = self._length, len(prefix) + len(tree)
        if before + rows > self._context:
            raise SessionError(f"{rows} tokens do not fit: {before} of the context's {self._context} are in use")
        start = before + len(prefix)
        given: dict[str, Any] = {}
        if not tree.is_chain:
            given["attention_mask"] = self._mask(tree, before, len(prefix))
        positions = [*range(before, start), *(start + depth for depth in tree.depths)]
        ids = self._tensor([[*prefix, *tree.tokens]])
        if tree.probes:
            given["inputs_embeds"] = self._vectors(ids, {len(prefix) + node: what for node, what in tree.probes.items()})
        else:
            given["input_ids"] = ids
        try:
            # Some models compile a function at first use otherwise, which needs a C++ compiler.
            with torch.inference_mode(), torch.compiler.set_stance("force_eager"):
                out = self.model(**given, position_ids=self._tensor([positions]), past_key_values=self._cache, use_cache=True,
                                 logits_to_keep=len(tree), output_hidden_states=bool(hidden))
                scores = scores_of(out.logits[0], logits=logits)
        except BaseException:
            self.rollback(before)
            raise
        self._length, self._parents = start, tree.parents
        states = out.hidden_states
        scores.hidden = {layer: states[layer if layer >= 0 else self.layers][0] for layer in hidden}
        return scores

    def commit(self, path: Sequence[int]) -> Counters:
        """As `DecodingTarget.commit`."""
        nodes = check_path(path, self._parents)
        for layer in self._cache.layers:
            layer.keys, layer.values = (keep_rows(rows, self._length, nodes) for rows in (layer.keys, layer.values))
        self._length += len(nodes)
        self._parents = []
        return {}

    def rollback(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        if not 0 <= length <= self._length:
            raise SessionError(f"A rollback to {length} is impossible: the session holds {self._length} tokens")
        if not length:
            self._cache = self._fresh()
        for layer in self._cache.layers if length else ():
            if layer.is_initialized:
                layer.keys, layer.values = layer.keys[:, :, :length], layer.values[:, :, :length]
        self._length, self._parents = length, []

    def embed(self, tokens: Sequence[int]) -> torch.Tensor:
        """Input vectors (n, width) of tokens."""
        with torch.inference_mode():
            return self.model.get_input_embeddings()(self._tensor(list(tokens)))

    def head(self, states: torch.Tensor) -> torch.Tensor:
        """Logits (n, vocab) of states (n, width) that enter the output layer."""
        with torch.inference_mode():
            logits = self.model.get_output_embeddings()(states)
        # What families do to logits behind the output layer: Cohere, Granite, Gemma.
        logits = logits * (getattr(self._config, "logit_scale", None) or 1) / (getattr(self._config, "logits_scaling", None) or 1)
        cap = getattr(self._config, "final_logit_softcapping", None)
        return logits if cap is None else cap * torch.tanh(logits / cap)

    def _fresh(self) -> Any:
        cache: Any = DynamicCache(config=self.model.config)
        for layer in cache.layers:
            if not layer.is_croppable or layer.is_sliding:
                raise InputError(f"A {type(self.model).__name__} keeps a {type(layer).__name__}, which cannot take tokens back")
        return cache

    def _tensor(self, values: Sequence[Any]) -> torch.Tensor:
        return torch.tensor(values, device=self.model.device)

    def _vectors(self, ids: torch.Tensor, probes: dict[int, Any]) -> torch.Tensor:
        with torch.inference_mode():
            vectors = self.model.get_input_embeddings()(ids).clone()
            for row, vector in probes.items():
                vectors[0, row] = torch.as_tensor(vector, dtype=vectors.dtype, device=vectors.device)
        return vectors

    def _mask(self, tree: DraftTree, committed: int, prefix: int) -> torch.Tensor:
        """What is added to attention scores, (1, 1, rows, columns): rows of a prefix are causal, nodes see their ancestors too."""
        start, rows = committed + prefix, prefix + len(tree)
        sees = np.tri(rows, committed + rows, committed, dtype=bool)
        sees[prefix:, start:] = False
        for node, parent in enumerate(tree.parents):
            if parent >= 0:
                sees[prefix + node, start:] = sees[prefix + parent, start:]
            sees[prefix + node, start + node] = True
        blocked, dtype = torch.from_numpy(~sees).to(self.model.device), self.model.dtype
        mask = torch.zeros(sees.shape, dtype=dtype, device=self.model.device)
        return mask.masked_fill_(blocked, torch.finfo(dtype).min)[None, None]


def keep_rows(rows: torch.Tensor, start: int, nodes: Sequence[int]) -> torch.Tensor:
    """Rows of a cache (1, heads, n, width) up to `start`, and those of `nodes` counted from there."""
    end = start + len(nodes)
    with torch.inference_mode():
        if list(nodes) != list(range(len(nodes))):
            rows[:, :, start:end] = rows[:, :, [start + node for node in nodes]]
        return rows[:, :, :end]


def scores_of(values: torch.Tensor, *, logits: bool) -> Scores:
    """Results of a forward from its logits (nodes, vocab); one transfer from the device, which waits for all before it."""
    fetched = _numpy(values) if logits else None
    best = (values if fetched is None else fetched).argmax(-1).tolist()
    return Scores(best, fetched, counters={"passes": 1},
                  top=lambda node, count: values[node].topk(min(count, values.shape[1])).indices.tolist())


def _numpy(values: torch.Tensor) -> NDArray[np.floating]:
    return (values if values.dtype == torch.float64 else values.float()).cpu().numpy()
