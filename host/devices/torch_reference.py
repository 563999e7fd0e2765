"""The checkpoint itself in transformers, the reference above the golden model, as a target of generation."""

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from terntable.host.decoding.layered import LayeredTarget
from terntable.host.decoding.loading import load_model
from terntable.host.decoding.tree import DraftTree
from terntable.host.rows import check_tokens
from terntable.host.target import PassResult

__all__ = ["ReferenceTarget"]


class ReferenceTarget:
    """A sequence in a causal model of transformers, in float32 on the CPU.

    Parameters
    ----------
    path : a Hugging Face directory.
    context : most tokens; the default is what the model has positions for.

    Attributes
    ----------
    decoding : the same sequence as decoding methods see it.

    Raises
    ------
    DeviceError, CheckpointError
        As :func:`terntable.host.decoding.loading.load_model`.

    """

    name = "torch"

    def __init__(self, path: Path, *, context: int | None = None) -> None:
        self.decoding = LayeredTarget(load_model(str(path)).model, context=context)

    @property
    def length(self) -> int:
        """Committed tokens."""
        return self.decoding.length

    @property
    def context(self) -> int:
        """Most tokens that the sequence can hold."""
        return self.decoding.context

    @property
    def vocab(self) -> int:
        """Number of tokens."""
        return self.decoding.vocab

    def prefill(self, tokens: ArrayLike, *, logits: bool = False) -> PassResult:
        """Run and commit tokens; one row, for the token after them."""
        ids = check_tokens(tokens, self.vocab)
        scores = self.decoding.score(DraftTree(int(ids[-1])), ids[:-1].tolist(), logits=logits)
        self.decoding.commit([0])
        return PassResult(np.array(scores.best), None, scores.logits if logits else None, scores.counters)

    def decode(self, token: int, *, logits: bool = False) -> PassResult:
        """Run and commit one token; one row."""
        return self.prefill([token], logits=logits)

    def rollback(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        self.decoding.rollback(length)
