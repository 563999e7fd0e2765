"""A model whose first layers are smaller models themselves, with one norm and output layer for all (sorted fine-tuning).

Its layers are in levels, one up to each exit. A token runs through the first level at once, and through a further one only when
that is asked for: then all earlier tokens that were not there yet go through it together, so that its keys and values are complete.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from terntable.host.decoding.layered import STRUCTURE, run_layers
from terntable.host.errors import InputError, SessionError

__all__ = ["SortedModel"]


class SortedModel:
    """One sequence in a model with exits.

    Parameters
    ----------
    model : a causal language model of transformers, built as Llama is.
    exits : layers before each exit, rising; the last one is the number of layers.

    Attributes
    ----------
    weights : of each level, those of the output layer included.

    Raises
    ------
    InputError
        The model is built otherwise, or an exit is not after one of its layers.

    """

    def __init__(self, model: Any, exits: Sequence[int]) -> None:
        layers = model.config.get_text_config().num_hidden_layers
        if not all(hasattr(getattr(model, "model", None), name) for name in STRUCTURE):
            raise InputError(f"A model with exits must be built as Llama is, but a {type(model).__name__} is not")
        if list(exits) != sorted(set(exits)) or not exits or exits[0] < 1 or exits[-1] != layers:
            raise InputError(f"Exits must rise from at least 1 to the model's {layers} layers, not be {list(exits)}")
        self.model, self.exits = model.eval(), tuple(exits)
        self.context = model.config.get_text_config().max_position_embeddings
        self.levels = [range(start, end) for start, end in pairwise((0, *exits))]
        head = model.get_output_embeddings().weight.numel()
        self.weights = [head + sum(weight.numel() for layer in level for weight in model.model.layers[layer].parameters())
                        for level in self.levels]
        self.rollback(0)

    @property
    def length(self) -> int:
        """Tokens that ran through the first level."""
        return self._done[0]

    def run(self, tokens: Sequence[int]) -> None:
        """Run further tokens through the first level."""
        if self.length + len(tokens) > self.context:
            raise SessionError(f"{len(tokens)} tokens do not fit: {self.length} of the context's {self.context} are in use")
        with torch.inference_mode():
            ids = torch.tensor([list(tokens)], device=self.model.device)
            self._waiting[0] = self.model.model.embed_tokens(ids)
        self.deepen(0)

    def deepen(self, level: int) -> None:
        """Run through a level what has come out of the one before and was not there yet."""
        states, before = self._waiting[level], self._done[level]
        rows = states.shape[1]
        if not rows:
            return
        positions = torch.arange(before, before + rows, device=self.model.device)[None]
        # Some models compile a function at first use otherwise, which needs a C++ compiler.
        with torch.inference_mode(), torch.compiler.set_stance("force_eager"):
            mask = torch.full((rows, before + rows), torch.finfo(states.dtype).min, dtype=states.dtype, device=states.device)
            out = run_layers(self.model, states, self.levels[level], positions, mask.triu(before + 1)[None, None], self._cache)
            self._last[level], self._waiting[level] = out[:, -1:], states[:, :0]
            self._done[level] = before + rows
            if level + 1 < len(self.levels):
                self._waiting[level + 1] = torch.cat([self._waiting[level + 1], out], dim=1)

    def logits(self, level: int) -> Tensor:
        """Logits (vocab,) after the last token, by the model that ends with a level; SessionError if the token was not there."""
        if not self.length or self._done[level] != self.length:
            raise SessionError(f"Level {level} has run {self._done[level]} tokens of {self.length}")
        with torch.inference_mode():
            return self.model.lm_head(self.model.model.norm(self._last[level]))[0, 0]

    def rollback(self, length: int) -> None:
        """Forget all but the first `length` tokens, in the caches and among those that wait for a level."""
        if not length:
            width = self.model.config.get_text_config().hidden_size
            empty = torch.zeros(1, 0, width, dtype=self.model.dtype, device=self.model.device)
            self._cache: Any = DynamicCache(config=self.model.config)
            self._done = [0] * len(self.levels)
            self._waiting = [empty] * len(self.levels)
            self._last: list[Tensor] = [empty] * len(self.levels)
            return
        if not 0 < length <= self.length:
            raise SessionError(f"A rollback to {length} is impossible: the session holds {self.length} tokens")
        for level, layers in enumerate(self.levels):
            if level:
                # What waits are the tokens between what this level has done and what the one before has, cut already.
                self._waiting[level] = self._waiting[level][:, :max(0, self._done[level - 1] - self._done[level])]
            if self._done[level] > length:
                self._done[level] = length
                for layer in layers:
                    kept = self._cache.layers[layer]
                    kept.keys, kept.values = kept.keys[:, :, :length], kept.values[:, :, :length]
