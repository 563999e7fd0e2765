"""Embedding, last norm and output layer of a compiled model on the host, for drafters that need them."""

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import rms_norm

from terntable.host.pass_parts import PassParts
from terntable.host.program import Program
from terntable.models.golden.weights import WeightCache

__all__ = ["HostLayers"]


class HostLayers:
    """Reads the tables of a program, float32 on the CPU; each is made when it is first wanted.

    Parameters
    ----------
    program : compiled.

    """

    def __init__(self, program: Program) -> None:
        self.program = program

    def embed(self, tokens: Sequence[int]) -> Tensor:
        """Input vectors (n, hidden) of tokens, as the accelerator has them."""
        return self._embedding[list(tokens)].float()

    def norm(self, states: Tensor) -> Tensor:
        """States (..., hidden) through the last norm."""
        return rms_norm(states, states.shape[-1:], self._gamma, self._parts.epsilon)

    def head(self, states: Tensor) -> Tensor:
        """Logits (..., vocab) of states that enter the output layer, whose weights are INT8 with a scale a row."""
        return states @ self._weights.T

    @cached_property
    def _parts(self) -> PassParts:
        return PassParts(self.program)

    @cached_property
    def _embedding(self) -> Tensor:
        table = torch.from_numpy(self.program.embed).view(torch.float16)
        return table.view(-1, self.program.embed_stride // 2)[:, :self.program.shape.hidden]

    @cached_property
    def _gamma(self) -> Tensor:
        return torch.from_numpy(self._parts.norm_weights(self.program.shape.layers).copy())

    @cached_property
    def _weights(self) -> Tensor:
        program = self.program
        codes, scale = WeightCache(program.config, program.stream).head(
            program.stream_words * program.config.word_bytes, program.shape.vocab, program.shape.hidden)
        return torch.from_numpy(codes).float() * torch.from_numpy(scale)[:, None]
