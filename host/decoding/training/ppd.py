"""Part `ppd`: vectors that, as input behind a token, make the frozen target guess further tokens (Chen et al. 2024).

As the paper has it: three vectors, initially the embeddings of a text; the law behind vector j is drawn to the target's own law
j + 1 tokens on, in text that the target wrote greedily, with weight 0.8^(j - 1); AdamW at 1e-2 on a cosine without warm-up. Sets of
vectors hang on many tokens of a sequence at once, which changes nothing, since no token sees them. Kept with the vectors: how often
the guess of each rank was right, measured on what the target wrote.
"""

import torch
from torch import Tensor, nn

from terntable.host.decoding.sparse_tree import RANKS
from terntable.host.decoding.training.losses import kl
from terntable.host.decoding.training.part import Job, Part
from terntable.host.decoding.training.probes import (
    accuracies,
    choose_anchors,
    probe_mask,
    probe_positions,
    read_tokens,
    said_later,
)
from terntable.host.decoding.training.teacher import PROMPT, Teacher
from terntable.host.decoding.training.trainer import Recipe

__all__ = ["PART", "PromptVectors", "initial_vectors", "prompt_logits"]

#: Vectors, and what the loss of one weighs against the one before.
STEPS, DECAY = 3, 0.8
#: Tokens of a sequence that vectors hang on, and sequences that the accuracies are measured on.
ANCHORS, MEASURED = 32, 64


class PromptVectors(nn.Module):
    """The part.

    Attributes
    ----------
    vectors : (steps, width).
    accuracy : (steps, ranks), probability that the guess of a rank is right.

    """

    def __init__(self, vectors: Tensor) -> None:
        super().__init__()
        self.vectors = nn.Parameter(vectors)
        self.accuracy: Tensor
        self.register_buffer("accuracy", torch.zeros(len(vectors), RANKS))


def initial_vectors(teacher: Teacher, steps: int = STEPS) -> Tensor:
    """Mean embeddings (steps, width) of the words "Next 2 word" and so on."""
    table = teacher.model.get_input_embeddings()
    with torch.no_grad():
        return torch.stack([table(torch.tensor(_ids(teacher, f"Next {step + 1} word"))).mean(dim=0)
                            for step in range(1, steps + 1)])


def _ids(teacher: Teacher, text: str) -> list[int]:
    return list(teacher.causal.tokenizer(text, add_special_tokens=False).input_ids)


def prompt_logits(model: nn.Module, cache: object, vectors: Tensor, anchors: Tensor, length: int) -> Tensor:
    """What a model says behind vectors (steps, width) at anchors (B, n) of `length` tokens in its cache: (B, steps, n, vocab)."""
    (batch, count), steps = anchors.shape, len(vectors)
    inputs = vectors.repeat_interleave(count, dim=0).expand(batch, -1, -1)
    with torch.compiler.set_stance("force_eager"):
        logits = model(inputs_embeds=inputs, position_ids=probe_positions(anchors, steps), past_key_values=cache, use_cache=True,
                       attention_mask=probe_mask(anchors, steps, length, inputs.dtype)).logits
    return logits.view(batch, steps, count, -1)


def measure(model: nn.Module, vectors: Tensor, tokens: Tensor, ranks: int = RANKS) -> Tensor:
    """How often guesses (steps, ranks) are right, over all places of tokens (n, length) behind the prompt."""
    steps, length = len(vectors), tokens.shape[1]
    places = torch.arange(PROMPT - 1, length - steps - 1)
    right = torch.zeros(steps, ranks, dtype=torch.int64)
    for rows in tokens.split(8):
        anchors = places.expand(len(rows), -1)
        _, cache = read_tokens(model, rows, logits_to_keep=1)
        with torch.no_grad():
            right += accuracies(prompt_logits(model, cache, vectors, anchors, length), rows, anchors, ranks)
    return right / (len(tokens) * len(places))


def prepare(teacher: Teacher, tokens: Tensor, recipe: Recipe) -> Job:
    """Fresh vectors whose laws are drawn to the teacher's."""
    part = PromptVectors(initial_vectors(teacher))

    def loss(step: int) -> Tensor:
        rows = recipe.rows(step, tokens)
        anchors = choose_anchors(recipe, step, len(rows), ANCHORS, PROMPT - 1, recipe.length - STEPS)
        said, cache = read_tokens(teacher.model, rows)
        logits = prompt_logits(teacher.model, cache, part.vectors, anchors, recipe.length)
        terms = [DECAY**(j - 1) * kl(said_later(said.logits, anchors, j), logits[:, j - 1]) for j in range(1, STEPS + 1)]
        return torch.stack(terms).sum() / STEPS

    def finish() -> None:
        part.accuracy.copy_(measure(teacher.model, part.vectors.detach(), tokens[:MEASURED]))

    return Job(part, loss, {"steps": STEPS, "ranks": RANKS}, finish=finish)


PART = Part("ppd", Recipe(steps=300, batch=4, length=128, rate=1e-2, betas=(0.9, 0.999)), prepare, answers=4096)
