"""The network in torch: BitNet b1.58 with quantisation-aware weights and activations, or its float twin.

The shapes, names and arithmetic are those of transformers' BitNetForCausalLM with AutoBitLinear, so that the
exported weights load there; only the grouping of matrix products differs: q, k, v share one, gate and up one.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-5


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the network; all counts are in elements."""

    vocabulary: int = 2048
    hidden: int = 256
    intermediate: int = 768
    layers: int = 6
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    positions: int = 512
    rope_theta: float = 10000.0
    norm_epsilon: float = 1e-5

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            raise ValueError(f"{self.heads} heads cannot share {self.kv_heads} key-value heads evenly")
        if self.heads * self.head_dim != self.hidden:
            raise ValueError(
                f"{self.heads} heads of {self.head_dim} do not make a hidden size of {self.hidden}"
            )


class _TernaryWeight(torch.autograd.Function):
    """Absmean ternary weight forward, identity backward."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        scale = weight.abs().mean().clamp(min=EPSILON)
        return (weight / scale).round().clamp(-1, 1) * scale

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


class _Int8Activation(torch.autograd.Function):
    """Per-token absmax INT8 activation forward, identity backward."""

    @staticmethod
    def forward(ctx: Any, activation: Tensor) -> Tensor:
        scale = 127 / activation.abs().amax(dim=-1, keepdim=True).clamp(min=EPSILON)
        return (activation * scale).round().clamp(-128, 127) / scale

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


class Projections(nn.Module):
    """Bias-free linear maps of one input; each weight has its own ternary scale."""

    def __init__(self, *, inputs: int, outputs: dict[str, int], quantised: bool) -> None:
        super().__init__()
        self.names = list(outputs)
        self.sizes = list(outputs.values())
        self.quantised = quantised
        for name, size in outputs.items():
            self.register_parameter(name, nn.Parameter(torch.randn(size, inputs) * inputs**-0.5))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(..., inputs) -> one (..., size) per output."""
        weights = [getattr(self, name) for name in self.names]
        if self.quantised and not self.training:
            # The order of AutoBitLinear: an ulp more or less before the next rounding can move an INT8 value.
            x = _Int8Activation.apply(x)
            scales = [weight.abs().mean().clamp(min=EPSILON) for weight in weights]
            pairs = zip(weights, scales, strict=True)
            return tuple(
                F.linear(x, (weight / scale).round().clamp(-1, 1)) * scale for weight, scale in pairs
            )
        if self.quantised:
            x = _Int8Activation.apply(x)
            weights = [_TernaryWeight.apply(weight) for weight in weights]
        y = F.linear(x, torch.cat(weights) if len(weights) > 1 else weights[0])
        return y.split(self.sizes, dim=-1)


class Norm(nn.Module):
    """Root mean square norm with a gain."""

    def __init__(self, size: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon))


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    low, high = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-high, low), dim=-1) * sin


class Block(nn.Module):
    """Attention and squared-ReLU feed-forward, each with a sub-norm before its output projection."""

    def __init__(self, config: NetworkConfig, *, quantised: bool) -> None:
        super().__init__()
        c = config
        self.config = c
        kv = c.kv_heads * c.head_dim
        self.input_layernorm = Norm(c.hidden, c.norm_epsilon)
        self.qkv = Projections(
            inputs=c.hidden, outputs={"q_proj": c.hidden, "k_proj": kv, "v_proj": kv}, quantised=quantised
        )
        self.attn_sub_norm = Norm(c.hidden, c.norm_epsilon)
        self.out = Projections(inputs=c.hidden, outputs={"o_proj": c.hidden}, quantised=quantised)
        self.post_attention_layernorm = Norm(c.hidden, c.norm_epsilon)
        self.gate_up = Projections(
            inputs=c.hidden,
            outputs={"gate_proj": c.intermediate, "up_proj": c.intermediate},
            quantised=quantised,
        )
        self.ffn_sub_norm = Norm(c.intermediate, c.norm_epsilon)
        self.down = Projections(inputs=c.intermediate, outputs={"down_proj": c.hidden}, quantised=quantised)

    def _attend(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, length, _ = x.shape
        c = self.config
        q, k, v = self.qkv(x)
        q = q.view(batch, length, c.heads, c.head_dim).transpose(1, 2)
        k = k.view(batch, length, c.kv_heads, c.head_dim).transpose(1, 2)
        v = v.view(batch, length, c.kv_heads, c.head_dim).transpose(1, 2)
        q, k = _rotate(q, cos, sin), _rotate(k, cos, sin)
        groups = c.heads // c.kv_heads
        k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        y = y.transpose(1, 2).reshape(batch, length, c.hidden)
        return self.out(self.attn_sub_norm(y))[0]

    def _feed_forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x)
        return self.down(self.ffn_sub_norm(F.relu(gate).square() * up))[0]

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """(batch, length, hidden) -> same shape."""
        x = x + self._attend(self.input_layernorm(x), cos, sin)
        return x + self._feed_forward(self.post_attention_layernorm(x))


class Network(nn.Module):
    """Causal language model with tied embedding and head."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: NetworkConfig, *, quantised: bool = True) -> None:
        super().__init__()
        self.config = config
        self.quantised = quantised
        self.embed_tokens = nn.Parameter(torch.randn(config.vocabulary, config.hidden) * 0.02)
        self.layers = nn.ModuleList(Block(config, quantised=quantised) for _ in range(config.layers))
        self.norm = Norm(config.hidden, config.norm_epsilon)
        exponent = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
        inverse = 1.0 / config.rope_theta**exponent
        angle = torch.arange(config.positions, dtype=torch.float32)[:, None] * inverse[None, :]
        angle = torch.cat((angle, angle), dim=-1)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def states(self, tokens: Tensor) -> list[Tensor]:
        """(batch, length) int64 -> what each layer gives, (batch, length, hidden); length up to `positions`."""
        length = tokens.shape[1]
        if length > self.config.positions:
            raise ValueError(f"{length} tokens do not fit into {self.config.positions} positions")
        cos, sin = self.cos[:length], self.sin[:length]
        x, given = F.embedding(tokens, self.embed_tokens), []
        for layer in self.layers:
            x = layer(x, cos, sin)
            given.append(x)
        return given

    def head(self, states: Tensor) -> Tensor:
        """(..., hidden) of any layer -> (..., vocabulary) float32 logits."""
        return F.linear(self.norm(states), self.embed_tokens)

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, length) int64 -> (batch, length, vocabulary) float32 logits; length up to `positions`."""
        return self.head(self.states(tokens)[-1])

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats a token."""
        logits = self(inputs)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())
