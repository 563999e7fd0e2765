"""A teacher without files: a random model of few weights."""

from types import SimpleNamespace

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from terntable.host.decoding.training.teacher import Teacher


class TinyTeacher(Teacher):
    """Says what a random model says."""

    def __init__(self, vocab, width, context=64):
        torch.manual_seed(5)
        super().__init__(SimpleNamespace(name="tiny", model=LlamaForCausalLM(LlamaConfig(
            vocab_size=vocab, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=2, max_position_embeddings=context))))
