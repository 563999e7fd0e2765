"""Random BitNet checkpoints of any size, written with NumPy alone: small enough for whole-machine tests."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from terntable.quant.huggingface import write_checksums


def write_checkpoint(path, *, seed=0, hidden=36, heads=3, kv_heads=1, intermediate=52, layers=2, vocab=97,
                     positions=64, bos=0, eos=1, tokenizer=True, checksums=True):
    """Write a Hugging Face directory of random packed ternary weights and return its path.

    Rows of every matrix must be multiples of 4. The first 97 tokens are <bos>, <eos> and the printable ASCII
    characters. The default sizes fit preset `nano` and are no multiples
    of five trits, of a tile, or of its beats.
    """
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps({
        "architectures": ["BitNetForCausalLM"], "model_type": "bitnet", "vocab_size": vocab,
        "hidden_size": hidden, "intermediate_size": intermediate, "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": hidden // heads,
        "hidden_act": "relu2", "max_position_embeddings": positions, "rope_theta": 10000.0,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}, "rms_norm_eps": 1e-5,
        "attention_bias": False, "tie_word_embeddings": True, "bos_token_id": bos, "eos_token_id": eos,
        "dtype": "float32", "quantization_config": {
            "quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "offline"}}))
    save_file(tensors(seed, hidden, heads, kv_heads, intermediate, layers, vocab), path / "model.safetensors",
              metadata={"format": "pt"})
    if tokenizer:
        (path / "tokenizer.json").write_text(ascii_tokenizer(vocab).to_str())
    if checksums:
        write_checksums(path)
    return path


def tensors(seed, hidden, heads, kv_heads, intermediate, layers, vocab):
    """Return all tensors under their names in the file."""
    rng = np.random.default_rng(seed)
    kv = kv_heads * (hidden // heads)
    found = {"model.embed_tokens.weight": (0.3 * rng.standard_normal((vocab, hidden))).astype(np.float16),
             "model.norm.weight": norm(rng, hidden)}
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        for name, size in (("input_layernorm", hidden), ("self_attn.attn_sub_norm", hidden),
                           ("post_attention_layernorm", hidden), ("mlp.ffn_sub_norm", intermediate)):
            found[f"{prefix}{name}.weight"] = norm(rng, size)
        for name, rows, columns in (("self_attn.q_proj", hidden, hidden), ("self_attn.k_proj", kv, hidden),
                                    ("self_attn.v_proj", kv, hidden), ("self_attn.o_proj", hidden, hidden),
                                    ("mlp.gate_proj", intermediate, hidden),
                                    ("mlp.up_proj", intermediate, hidden),
                                    ("mlp.down_proj", hidden, intermediate)):
            parts = rng.integers(0, 3, (4, rows // 4, columns)).astype(np.uint8)
            found[f"{prefix}{name}.weight"] = parts[0] | parts[1] << 2 | parts[2] << 4 | parts[3] << 6
            found[f"{prefix}{name}.weight_scale"] = np.array([rng.uniform(0.5, 2) / np.sqrt(columns)],
                                                             np.float32)
    return found


def norm(rng, size):
    """Return norm weights around one."""
    return (1 + 0.1 * rng.standard_normal(size)).astype(np.float32)


def ascii_tokenizer(vocab):
    """Return a tokenizer of <bos>, <eos>, the printable ASCII characters, and fillers up to `vocab`."""
    space = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(" ")[0][0]
    characters = [space, *(chr(code) for code in range(33, 127))]
    names = ["<bos>", "<eos>", *characters, *(f"<{n}>" for n in range(97, vocab))][:vocab]
    tokenizer = Tokenizer(models.BPE(vocab={name: n for n, name in enumerate(names)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(names[:2])
    return tokenizer
