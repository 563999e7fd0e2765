"""Part `exits`: a small causal model that decodes from each of its layers, trained on the King James text as LayerSkip trains.

Elhoushi et al. 2024, arXiv 2404.16710: one norm and output layer serve all exits, and the loss of an exit is cross-entropy with
the text. The exits take turns, a third of them in each update; the last layer is always there and counts as much as all others. No
layer is dropped out, since the model is trained from nothing. The text is that of the shipped model's training; what the teacher
wrote is not used.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from terntable.host.decoding.training.losses import cross_entropy
from terntable.host.decoding.training.part import Job, Part
from terntable.host.decoding.training.teacher import Teacher, kjv_windows
from terntable.host.decoding.training.trainer import Recipe

__all__ = ["PART", "exit_loss", "exits_config"]

#: Updates in which each exit has its turn once.
TURNS = 3


def exits_config(tokens: Any, *, width: int = 128, layers: int = 8) -> LlamaConfig:
    """Sizes of the model, for the tokens and the context of another one's configuration."""
    return LlamaConfig(vocab_size=tokens.vocab_size, hidden_size=width, intermediate_size=3 * width, num_hidden_layers=layers,
                       num_attention_heads=width // 32, num_key_value_heads=width // 32, tie_word_embeddings=True,
                       max_position_embeddings=tokens.max_position_embeddings, bos_token_id=tokens.bos_token_id,
                       eos_token_id=tokens.eos_token_id)


def exit_loss(model: Any, tokens: Tensor, step: int) -> Tensor:
    """Half of the last layer's loss and half of the mean over the exits whose turn it is, for tokens (B, L)."""
    out = model.model(input_ids=tokens[:, :-1], output_hidden_states=True, use_cache=False)
    layers = model.config.num_hidden_layers
    early = [model.model.norm(out.hidden_states[layer]) for layer in range(1, layers) if layer % TURNS == step % TURNS]
    losses = [cross_entropy(model.lm_head(states), tokens[:, 1:]) for states in [*early, out.last_hidden_state]]
    return (torch.stack(losses[:-1]).mean() + losses[-1]) / 2 if early else losses[-1]


def prepare(teacher: Teacher, tokens: Tensor, recipe: Recipe) -> Job:
    """A fresh model."""
    torch.manual_seed(recipe.seed)
    config = exits_config(teacher.model.config)
    model = LlamaForCausalLM(config)
    windows = torch.from_numpy(kjv_windows(teacher.causal, recipe.steps * recipe.batch, length=recipe.length + 1, seed=recipe.seed))

    def loss(step: int) -> Tensor:
        return exit_loss(model, windows[step * recipe.batch:(step + 1) * recipe.batch], step)

    # The output layer is the embedding.
    return Job(model, loss, config.to_diff_dict(), frozen=("lm_head.",))


PART = Part("exits", Recipe(steps=500, batch=8, length=64, rate=4e-3, warmup=30, floor=0.05, decay=0.01), prepare, answers=4096)
