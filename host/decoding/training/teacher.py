"""The frozen target as a teacher: text that it wrote itself, and what it says about any text."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from terntable.host.decoding.loading import CausalModel
from terntable.host.models import cache_folder

__all__ = ["Said", "Teacher", "keep_array", "kjv_windows"]

#: Tokens of a prompt, and tokens that the teacher writes after it.
PROMPT, ANSWER = 32, 96
#: Sequences that the teacher writes side by side.
BATCH = 64


@dataclass(frozen=True, eq=False)
class Said:
    """What a teacher says about tokens (B, L).

    Attributes
    ----------
    logits : (B, L, vocab).
    hidden : states (B, L, width) that enter each layer, then those that enter the output layer: layers + 1 of them.

    """

    logits: Tensor
    hidden: tuple[Tensor, ...]


class Teacher:
    """Runs a model without gradients; its weights are never trained."""

    def __init__(self, causal: CausalModel) -> None:
        self.causal, self.model = causal, causal.model.requires_grad_(False).eval()

    def __call__(self, tokens: Tensor) -> Said:
        """What the teacher says about tokens (B, L)."""
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            out = self.model(input_ids=tokens, output_hidden_states=True, use_cache=False)
        return Said(out.logits, out.hidden_states)

    def write(self, prompts: NDArray[np.int64], answer: int = ANSWER, *,
              progress: Callable[[str], None] | None = None) -> NDArray[np.int64]:
        """Prompts (n, p) and the teacher's greedy answers to them, (n, p + answer); kept in the cache folder, batch by batch."""
        key = hashlib.sha256(prompts.tobytes() + f"{self.causal.name} {answer} {BATCH}".encode()).hexdigest()[:16]
        done = []
        for start in range(0, len(prompts), BATCH):
            file = cache_folder() / f"teacher-{self.causal.name}-{key}-{start}.npy"
            if not file.is_file():
                if progress is not None:
                    progress(f"the teacher writes answers {start} to {min(start + BATCH, len(prompts))} of {len(prompts)}")
                keep_array(file, self._answers(prompts[start:start + BATCH], answer))
            done.append(np.load(file))
        return np.concatenate(done).astype(np.int64)

    def _answers(self, prompts: NDArray[np.int64], answer: int) -> NDArray[np.int32]:
        from transformers import DynamicCache

        rows = [torch.from_numpy(prompts)]
        cache, given = DynamicCache(config=self.model.config), rows[0]
        with torch.inference_mode(), torch.compiler.set_stance("force_eager"):
            for _ in range(answer):
                out = self.model(input_ids=given, past_key_values=cache, use_cache=True, logits_to_keep=1)
                given = out.logits[:, -1].argmax(dim=-1, keepdim=True)
                rows.append(given)
        return torch.cat(rows, dim=1).numpy().astype(np.int32)


def kjv_windows(causal: CausalModel, count: int, *, length: int = PROMPT, seed: int = 1) -> NDArray[np.int64]:
    """Windows (count, length) of the books that the shipped model was trained on, which no held-out book is among."""
    from terntable.models.kjv_recipe import data

    training, _, _ = data.split(data.load_chapters())
    stream = _stream(causal, data.flatten(training))
    starts = np.random.default_rng(seed).integers(len(stream) - length, size=count)
    return stream[starts[:, None] + np.arange(length)]


def _stream(causal: CausalModel, chapters: Sequence[str]) -> NDArray[np.int64]:
    tokens: list[int] = []
    for chapter in chapters:
        tokens += [*causal.encode(chapter), *causal.eos[:1]]
    return np.array(tokens, np.int64)


def keep_array(file: Path, values: NDArray) -> None:
    """Write an array to a file, which is there whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial.npy")
    np.save(partial, values)
    partial.replace(file)
