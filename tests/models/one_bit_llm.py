"""BitNet b1.58 in plain float32 PyTorch, written from the published description: the reference where transformers has none.

transformers knows the network with Microsoft's tensor names only. This one takes latent weights in either family's names, so
that the 1bitLLM family has a reference above the golden machine that does not pass through the readers of `quant`.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

__all__ = ["load", "logits"]

ACTIVATIONS = {"silu": functional.silu, "relu2": lambda x: functional.relu(x).square()}


def load(directory: Path) -> tuple[dict[str, Tensor], dict]:
    """Tensors (float32, latent) and ``config.json`` of a directory with one safetensors file."""
    tensors = {name: values.float() for name, values in load_file(directory / "model.safetensors").items()}
    return tensors, json.loads((directory / "config.json").read_text())


def logits(tensors: dict[str, Tensor], config: dict, tokens: list[int]) -> Tensor:
    """Logits ``(tokens, vocab)`` of one sequence that starts at position 0."""
    eps, heads = config["rms_norm_eps"], config["num_attention_heads"]
    kv_heads = config.get("num_key_value_heads") or heads
    dim = config["hidden_size"] // heads
    activation = ACTIVATIONS[config["hidden_act"]]
    cosine, sine = _rotary(len(tokens), dim, config.get("rope_theta", 10000.0))
    x = tensors["model.embed_tokens.weight"][torch.tensor(tokens)]
    for index in range(config["num_hidden_layers"]):
        layer = _Layer(tensors, f"model.layers.{index}.", eps)
        h = layer.norm(x, "input_layernorm")
        q = _split(layer.linear(h, "self_attn.q_proj"), heads)
        k = _split(layer.linear(h, "self_attn.k_proj"), kv_heads)
        v = _split(layer.linear(h, "self_attn.v_proj"), kv_heads)
        q, k = (y * cosine + _half_turned(y) * sine for y in (q, k))
        mixed = layer.norm(_attend(q, k, v), "self_attn.inner_attn_ln", "self_attn.attn_sub_norm")
        x = x + layer.linear(mixed, "self_attn.o_proj")
        h = layer.norm(x, "post_attention_layernorm")
        gated = activation(layer.linear(h, "mlp.gate_proj")) * layer.linear(h, "mlp.up_proj")
        x = x + layer.linear(layer.norm(gated, "mlp.ffn_layernorm", "mlp.ffn_sub_norm"), "mlp.down_proj")
    head = tensors["model.embed_tokens.weight" if config.get("tie_word_embeddings") else "lm_head.weight"]
    return functional.linear(_rms_norm(x, tensors["model.norm.weight"], eps), head)


class _Layer:
    """The tensors of one layer by the end of their names."""

    def __init__(self, tensors: dict[str, Tensor], prefix: str, eps: float) -> None:
        self.tensors, self.prefix, self.eps = tensors, prefix, eps

    def norm(self, x: Tensor, *names: str) -> Tensor:
        """RMS norm by the first of the names that the model has."""
        weight = next(self.tensors[key] for name in names if (key := f"{self.prefix}{name}.weight") in self.tensors)
        return _rms_norm(x, weight, self.eps)

    def linear(self, x: Tensor, name: str) -> Tensor:
        """Ternary weights times 8-bit activations, both as the floats that they stand for."""
        weight = self.tensors[f"{self.prefix}{name}.weight"]
        weight_scale = 1 / weight.abs().mean().clamp(min=1e-5)
        ternary = (weight * weight_scale).round().clamp(-1, 1) / weight_scale
        scale = 127 / x.abs().amax(dim=-1, keepdim=True).clamp(min=1e-5)
        return functional.linear((x * scale).round().clamp(-128, 127) / scale, ternary)


def _rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return weight * (x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps))


def _split(x: Tensor, heads: int) -> Tensor:
    """``(tokens, heads * dim)`` to ``(heads, tokens, dim)``."""
    return x.view(len(x), heads, -1).transpose(0, 1)


def _rotary(tokens: int, dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Cosine and sine ``(tokens, dim)``; columns t and t + dim / 2 are a pair and turn by the same angle."""
    frequency = 1 / theta ** (torch.arange(0, dim, 2).float() / dim)
    angle = (torch.arange(tokens).float()[:, None] * frequency).repeat(1, 2)
    return angle.cos(), angle.sin()


def _half_turned(x: Tensor) -> Tensor:
    low, high = x.chunk(2, dim=-1)
    return torch.cat((-high, low), dim=-1)


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal softmax attention ``(heads, tokens, dim)`` to ``(tokens, heads * dim)``; query heads share keys in groups."""
    k, v = (y.repeat_interleave(len(q) // len(y), dim=0) for y in (k, v))
    scores = q @ k.transpose(1, 2) * q.shape[-1] ** -0.5
    later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    return (scores.masked_fill(later, -torch.inf).softmax(-1) @ v).transpose(0, 1).reshape(q.shape[1], -1)
