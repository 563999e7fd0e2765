"""Part `s2d`: a draft model with exits, sorted fine-tuning of method S2D (Kavehzadeh et al. 2024, arXiv 2407.01955).

The loss is the plain mean, over the exits, of the cross-entropy with the text after the one norm and output layer. No target takes
part: the text is that of the shipped model's training. The paper cuts the first 12 layers from a model of 7 billion weights, with
exits after 6, 9 and 12; this one is made from nothing, of 6 layers with exits after 2, 4 and 6.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from terntable.host.decoding.training.losses import cross_entropy
from terntable.host.decoding.training.part import Job, Part
from terntable.host.decoding.training.teacher import Teacher, kjv_windows
from terntable.host.decoding.training.trainer import Recipe

__all__ = ["EXITS", "PART", "sorted_loss"]

#: Layers before each exit.
EXITS = (2, 4, 6)


def sorted_loss(model: Any, exits: Sequence[int], tokens: Tensor) -> Tensor:
    """Mean of the exits' losses, for tokens (B, L)."""
    out = model.model(input_ids=tokens[:, :-1], output_hidden_states=True, use_cache=False)
    # What the last layer gives is kept behind the norm.
    states = [model.model.norm(out.hidden_states[layer]) for layer in exits[:-1]]
    return torch.stack([cross_entropy(model.lm_head(one), tokens[:, 1:]) for one in [*states, out.last_hidden_state]]).mean()


def sorted_config(tokens: Any, *, width: int = 128) -> LlamaConfig:
    """Sizes of the model, for the tokens and the context of another one's configuration."""
    return LlamaConfig(vocab_size=tokens.vocab_size, hidden_size=width, intermediate_size=3 * width, num_hidden_layers=EXITS[-1],
                       num_attention_heads=width // 32, num_key_value_heads=width // 32, tie_word_embeddings=True,
                       max_position_embeddings=tokens.max_position_embeddings, bos_token_id=tokens.bos_token_id,
                       eos_token_id=tokens.eos_token_id)


def prepare(teacher: Teacher, tokens: Tensor, recipe: Recipe) -> Job:
    """A fresh model."""
    torch.manual_seed(recipe.seed)
    config = sorted_config(teacher.model.config)
    model = LlamaForCausalLM(config)
    windows = torch.from_numpy(kjv_windows(teacher.causal, recipe.steps * recipe.batch, length=recipe.length + 1, seed=recipe.seed))

    def loss(step: int) -> Tensor:
        return sorted_loss(model, EXITS, windows[step * recipe.batch:(step + 1) * recipe.batch])

    # The output layer is the embedding.
    return Job(model, loss, config.to_diff_dict() | {"exits": list(EXITS)}, frozen=("lm_head.",))


PART = Part("s2d", Recipe(steps=3000, batch=16, length=96, rate=3e-3, warmup=40, floor=0.05, decay=0.01), prepare, answers=4096)
