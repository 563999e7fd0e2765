"""A chat model's own greedy answers to made-up questions: text to count trigrams in, where no corpus is at hand.

The questions are forms filled with subjects. None of them is among the shipped prompts that methods are measured with.
"""

import hashlib
from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from terntable.host.decoding.loading import CausalModel, quietly
from terntable.host.decoding.training.teacher import keep_array
from terntable.host.models import cache_folder

__all__ = ["FORMS", "SUBJECTS", "answers", "questions"]

FORMS = (
    "Explain the basics of {}.", "Tell me something surprising about {}.", "Summarise what a beginner has to know about {}.",
    "What are common mistakes with {}, and how are they avoided?", "Make a plan of five steps to learn about {}.",
    "Write a poem of eight lines about {}.", "Write a dialogue of two friends about {}.",
    "What would the world be like without {}?", "How did people come to have {}?", "Compare {} now and a hundred years ago.",
)
SUBJECTS = (
    "gardens", "chess", "electric light", "the moon", "cheese", "trains", "honey bees", "swimming", "maps", "money", "glass",
    "winter", "dogs", "music lessons", "earthquakes", "the human heart", "tea", "bridges", "photography", "libraries", "volcanoes",
    "salt", "sleep", "football", "paper", "elephants", "the internet", "vaccines", "deserts", "coffee", "languages", "rice",
)
#: Questions that are answered side by side, and new tokens of each answer.
BATCH, LENGTH = 16, 128


def questions() -> list[str]:
    """Every form with every subject; neighbours differ in both."""
    pairs = list(product(range(len(SUBJECTS)), range(len(FORMS))))
    pairs.sort(key=lambda pair: ((pair[0] + pair[1]) % len(FORMS), pair))
    return [FORMS[form].format(SUBJECTS[subject]) for subject, form in pairs]


def answers(causal: CausalModel, count: int, *, length: int = LENGTH, progress: Callable[[str], None] | None = None,
            ) -> Iterator[list[int]]:
    """Token ids of the answers to the first `count` questions, each up to its end; kept in the cache folder batch by batch."""
    asked = questions()[:count]
    for start in range(0, len(asked), BATCH):
        part = [causal.chat(question) for question in asked[start:start + BATCH]]
        key = hashlib.sha256(repr((causal.name, length, part)).encode()).hexdigest()[:16]
        file = cache_folder() / f"answers-{causal.name}-{key}.npy"
        if not file.is_file():
            if progress is not None:
                progress(f"{causal.name} answers questions {start + 1} to {start + len(part)} of {len(asked)}")
            keep_array(file, _write(causal, part, length))
        for row in np.load(file).tolist():
            ends = [place for place, token in enumerate(row) if token in causal.eos]
            yield row[:ends[0] + 1] if ends else row


def _write(causal: CausalModel, prompts: list[list[int]], length: int) -> NDArray[np.int32]:
    """Greedy answers (n, length), whatever follows the end of one."""
    import torch

    longest, filler = max(map(len, prompts)), causal.eos[0]
    ids = torch.tensor([[filler] * (longest - len(prompt)) + prompt for prompt in prompts])
    seen = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    with torch.inference_mode(), quietly():
        out = causal.model.generate(ids, attention_mask=seen, max_new_tokens=length, do_sample=False, pad_token_id=filler,
                                    eos_token_id=list(causal.eos))
    rows = np.full((len(prompts), length), filler, np.int32)
    rows[:, :out.shape[1] - longest] = out[:, longest:].numpy()
    return rows
