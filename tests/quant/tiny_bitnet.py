"""Tiny random BitNet directories in every layout, written with NumPy alone."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

HIDDEN, INNER, HEADS, KV_HEADS, LAYERS, VOCABULARY = 32, 64, 4, 2, 2, 48
KV = KV_HEADS * HIDDEN // HEADS
PROJECTIONS = {"self_attn.q_proj": (HIDDEN, HIDDEN), "self_attn.k_proj": (KV, HIDDEN),
               "self_attn.v_proj": (KV, HIDDEN), "self_attn.o_proj": (HIDDEN, HIDDEN),
               "mlp.gate_proj": (INNER, HIDDEN), "mlp.up_proj": (INNER, HIDDEN),
               "mlp.down_proj": (HIDDEN, INNER)}
NORMS = {"input_layernorm": HIDDEN, "self_attn.attn_sub_norm": HIDDEN, "post_attention_layernorm": HIDDEN,
         "mlp.ffn_sub_norm": INNER}
#: What the 1bitLLM family calls two of the norms.
ONE_BIT_LLM_NAMES = {"self_attn.attn_sub_norm": "self_attn.inner_attn_ln", "mlp.ffn_sub_norm": "mlp.ffn_layernorm"}
LAYOUTS = (("online", "autobitlinear"), ("offline", "autobitlinear"), ("offline", "bitlinear"))


def config(mode="offline", linear="autobitlinear", **changes):
    """Return ``config.json`` as a dictionary; a change to None removes the key."""
    values = {
        "model_type": "bitnet", "hidden_size": HIDDEN, "intermediate_size": INNER,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS,
        "vocab_size": VOCABULARY, "max_position_embeddings": 64,
        "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"},
        "rms_norm_eps": 1e-5, "hidden_act": "relu2", "tie_word_embeddings": False, "bos_token_id": 1,
        "eos_token_id": [2, 3],
        "quantization_config": {"quant_method": "bitnet", "linear_class": linear, "quantization_mode": mode},
    }
    values.update(changes)
    return {key: value for key, value in values.items() if value is not None}


def one_bit_llm_config(**changes):
    """Return ``config.json`` of the 1bitLLM family as a dictionary; a change to None removes the key."""
    values = {
        "architectures": ["BitnetForCausalLM"], "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": 1,
        "eos_token_id": 2, "hidden_act": "silu", "hidden_size": HIDDEN, "initializer_range": 0.02, "input_bits": 8,
        "intermediate_size": INNER, "max_position_embeddings": 64, "model_type": "llama", "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS, "num_key_value_heads": KV_HEADS, "pad_token_id": 0, "pretraining_tp": 1,
        "rms_norm_eps": 1e-5, "rope_scaling": None, "rope_theta": 10000.0, "tie_word_embeddings": True,
        "torch_dtype": "float32", "use_cache": True, "vocab_size": VOCABULARY, "weight_bits": 1,
    }
    values.update(changes)
    return {key: value for key, value in values.items() if value is not None or key == "rope_scaling"}


def one_bit_llm(tensors, *, tied=True):
    """Rename latent tensors as the 1bitLLM family does; a tied head is not stored."""
    renamed = {}
    for name, values in tensors.items():
        for ours, theirs in ONE_BIT_LLM_NAMES.items():
            name = name.replace(ours, theirs)
        renamed[name] = values
    if tied:
        del renamed["lm_head.weight"]
    return renamed


def write_one_bit_llm(directory, seed=0, **changes):
    """Write the random model of ``seed`` as a directory of the 1bitLLM family."""
    values = one_bit_llm_config(**changes)
    return write(directory, one_bit_llm(latent(seed), tied=values["tie_word_embeddings"]), values)


def latent(seed=0):
    """Return all tensors of a model with latent float32 weights."""
    rng = np.random.default_rng(seed)

    def normal(shape, spread=0.05):
        return (rng.standard_normal(shape) * spread).astype(np.float32)

    tensors = {"model.embed_tokens.weight": normal((VOCABULARY, HIDDEN)),
               "model.norm.weight": 1 + normal(HIDDEN), "lm_head.weight": normal((VOCABULARY, HIDDEN))}
    for layer in range(LAYERS):
        for name, shape in PROJECTIONS.items():
            tensors[f"model.layers.{layer}.{name}.weight"] = normal(shape)
        for name, size in NORMS.items():
            tensors[f"model.layers.{layer}.{name}.weight"] = 1 + normal(size)
    return tensors


def pack(codes):
    """Pack codes ``(4R, in)`` as Hugging Face does, one value at a time."""
    rows = codes.shape[0] // 4
    packed = np.zeros((rows, codes.shape[1]), np.uint8)
    for n, k in np.ndindex(*codes.shape):
        packed[n % rows, k] |= (int(codes[n, k]) + 1) << 2 * (n // rows)
    return packed


def offline(tensors, linear):
    """Return the tensors with every projection packed, and its scale in the convention of the class."""
    converted = {}
    for name, values in tensors.items():
        converted[name] = values
        if "_proj" in name:
            scale = np.float32(np.abs(values).mean(dtype=np.float64))
            converted[name] = pack(np.clip(np.rint(values * (1 / scale)), -1, 1))
            stored = 1 / scale if linear == "bitlinear" else scale
            converted[f"{name}_scale"] = np.array([stored], np.float32)
    return converted


def write(directory, tensors, values):
    """Write a model directory and return its path."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(values))
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    return directory


def write_layout(directory, mode, linear, seed=0, **changes):
    """Write the random model of ``seed`` in one of the ``LAYOUTS``."""
    tensors = latent(seed)
    if mode == "offline":
        tensors = offline(tensors, linear)
    return write(directory, tensors, config(mode, linear, **changes))
