"""Part `draft`: a small causal model that speaks like the target, distilled from what the target wrote."""

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from terntable.host.decoding.training.losses import cross_entropy, kl
from terntable.host.decoding.training.part import Job, Part
from terntable.host.decoding.training.teacher import Teacher
from terntable.host.decoding.training.trainer import Recipe

__all__ = ["PART", "draft_config"]

#: Share of the loss that is cross-entropy with the target's own choice; the rest is the distance of the laws.
CHOICE = 0.5


def draft_config(vocab: int, context: int, *, width: int = 192, layers: int = 2) -> LlamaConfig:
    """Sizes of the draft model."""
    return LlamaConfig(vocab_size=vocab, hidden_size=width, intermediate_size=3 * width, num_hidden_layers=layers,
                       num_attention_heads=width // 64, num_key_value_heads=width // 64, max_position_embeddings=context,
                       tie_word_embeddings=True, bos_token_id=None, eos_token_id=None)


def prepare(teacher: Teacher, tokens: Tensor, recipe: Recipe) -> Job:
    """A fresh model whose law is drawn to the teacher's at each token of a window."""
    torch.manual_seed(recipe.seed)
    config = draft_config(teacher.model.config.vocab_size, teacher.model.config.max_position_embeddings)
    model = LlamaForCausalLM(config)

    def loss(step: int) -> Tensor:
        rows = recipe.rows(step, tokens)
        said = teacher(rows)
        logits = model(input_ids=rows, use_cache=False).logits
        choice = cross_entropy(logits, said.logits.argmax(dim=-1))
        return CHOICE * choice + (1 - CHOICE) * kl(said.logits, logits)

    return Job(model, loss, config.to_diff_dict())


PART = Part("draft", Recipe(steps=1500, batch=16, length=96, rate=2e-3, warmup=50, floor=0.05), prepare, answers=4096)
