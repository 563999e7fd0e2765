"""Tiny random models of transformers, in float64."""

import torch
import transformers

SIZES = {"vocab_size": 40, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4,
         "num_key_value_heads": 2, "max_position_embeddings": 64, "bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
GPT = {"vocab_size": 40, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64, "bos_token_id": None, "eos_token_id": None}
#: Family -> settings that make it small.
FAMILIES = {
    "Llama": SIZES, "BitNet": SIZES, "Qwen2": SIZES, "Qwen3": SIZES | {"head_dim": 8}, "Phi3": SIZES | {"pad_token_id": 0},
    "Gemma": SIZES | {"head_dim": 8}, "Cohere": SIZES, "GPTNeoX": SIZES | {"num_key_value_heads": 4}, "GPT2": GPT,
    "OPT": SIZES | {"ffn_dim": 48, "word_embed_proj_dim": 32},
}


def tiny(family="Llama", *, seed=0, sharp=8.0, **settings):
    """A random causal model; `sharp` widens its logits, which are nearly flat otherwise."""
    torch.manual_seed(seed)
    config = getattr(transformers, f"{family}Config")(**(FAMILIES.get(family, {}) | settings))
    kind = getattr(transformers, f"{family}ForCausalLM", None) or getattr(transformers, f"{family}LMHeadModel")
    model = kind(config).double().eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 2:
                weight *= sharp
    return model
