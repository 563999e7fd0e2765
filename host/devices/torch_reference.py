"""The checkpoint itself in transformers, the reference above the golden model, as a target of generation."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from terntable.host.errors import DeviceError, SessionError
from terntable.host.rows import check_tokens
from terntable.host.target import PassResult
from terntable.quant.families import MICROSOFT
from terntable.quant.huggingface import read_checkpoint
from terntable.quant.huggingface_config import read_family

__all__ = ["TorchTarget"]


class TorchTarget:
    """A sequence in `transformers.BitNetForCausalLM`, in float32 on the CPU.

    Parameters
    ----------
    path : a Hugging Face directory.
    context : most tokens; the default is what the model has positions for.

    Raises
    ------
    DeviceError
        torch or transformers are not installed, or transformers has no class for the checkpoint's family.
    CheckpointError
        The checkpoint is damaged.

    """

    name = "torch"

    def __init__(self, path: Path, *, context: int | None = None) -> None:
        try:
            import torch
            from transformers import BitNetForCausalLM, DynamicCache
            from transformers.utils import logging
        except ImportError as error:
            raise DeviceError(f"Device torch needs {error.name}, which is not installed: pip install "
                              "'terntable[torch]'") from error
        # The loader of transformers fills in what is missing with random numbers, and leaves out names that it does not know.
        config, family = read_checkpoint(path).config, read_family(path)
        if family is not MICROSOFT:
            raise DeviceError(f"Device torch cannot run {path}: transformers has no class for a {family.title} model")
        if not 1 <= (context or 1) <= config.max_position_embeddings:
            raise SessionError(f"A context of {context} is outside 1 to {config.max_position_embeddings}")
        self._torch, self._cache_class = torch, DynamicCache
        self._context, self._vocab = context or config.max_position_embeddings, config.vocab_size
        # Loading warns that there is no GPU, and draws a bar for each tensor.
        kept = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            with torch.compiler.set_stance("force_eager"):
                self._model: Any = BitNetForCausalLM.from_pretrained(str(path), dtype=torch.float32)
            # A float16 embedding that serves as head stays float16 otherwise, and a quantised model has no float().
            for parameter in self._model.eval().parameters():
                if parameter.is_floating_point():
                    parameter.data = parameter.data.float()
        finally:
            logging.set_verbosity(kept[0])
            if kept[1]:
                logging.enable_progress_bar()
        self._cache = DynamicCache()
        self._length = 0

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

    def prefill(self, tokens: ArrayLike, *, logits: bool = False) -> PassResult:
        """Run and commit tokens; one row, for the token after them."""
        ids = check_tokens(tokens, self._vocab)
        if self._length + len(ids) > self._context:
            raise SessionError(f"{len(ids)} tokens do not fit: {self._length} of the context's "
                               f"{self._context} are in use")
        # Its custom functions compile themselves at first use otherwise, which needs a C++ compiler.
        with self._torch.no_grad(), self._torch.compiler.set_stance("force_eager"):
            out = self._model(input_ids=self._torch.tensor(ids[None]), past_key_values=self._cache,
                              use_cache=True)
        self._cache = out.past_key_values
        self._length += len(ids)
        values = out.logits[0, -1:].float().numpy()
        return PassResult(values.argmax(axis=-1).astype(np.int64), None, values if logits else None,
                          {"passes": 1})

    def decode(self, token: int, *, logits: bool = False) -> PassResult:
        """Run and commit one token; one row."""
        return self.prefill([token], logits=logits)

    def rollback(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        if not 0 <= length <= self._length:
            raise SessionError(f"A rollback to {length} is impossible: the session holds {self._length} "
                               "tokens")
        if not length:
            self._cache = self._cache_class()
        elif length < self._length:
            # A negative number is how many to remove.
            self._cache.crop(length - self._length)
        self._length = length
