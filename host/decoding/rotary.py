"""A layer of a small transformer whose states attend to a memory by relative positions; drafters that draft in parallel use it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["RotaryLayer"]

#: Width of an attention head.
HEAD = 64
#: Wavelengths of the rotation grow up to about this many positions.
BASE = 1000.0


class RotaryLayer(nn.Module):
    """Attention and a network of two matrices, each behind a norm and beside a residual path.

    Parameters
    ----------
    width : of states, a multiple of 64.
    inner : width inside the network.

    """

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        if width < HEAD or width % HEAD:
            raise ValueError(f"The width must be a multiple of {HEAD}, not {width}")
        self.norm_states, self.norm_inner = nn.RMSNorm(width), nn.RMSNorm(width)
        self.asks = nn.Linear(width, width, bias=False)
        self.offers = nn.Linear(width, 2 * width, bias=False)
        self.gathers = nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, inner, bias=False), nn.Linear(inner, width, bias=False)

    def forward(self, states: Tensor, memory: Tensor, at: Tensor, memory_at: Tensor, sees: Tensor | None = None) -> Tensor:
        """States (B, n, width) at positions `at` (n,), or (B, n), after they attended to a memory (B, m, width) at `memory_at`.

        `sees` (n, m) or (B, n, m) tells what each state attends to; all of the memory if None.
        """
        keys, values = self.offers(self.norm_states(memory)).chunk(2, dim=-1)
        asked = _turn(_heads(self.asks(self.norm_states(states))), at)
        mask = None if sees is None else sees[None, None] if sees.dim() == 2 else sees[:, None]
        found = F.scaled_dot_product_attention(asked, _turn(_heads(keys), memory_at), _heads(values), attn_mask=mask)
        states = states + self.gathers(found.transpose(1, 2).flatten(2))
        return states + self.down(F.gelu(self.up(self.norm_inner(states))))


def _heads(states: Tensor) -> Tensor:
    return states.unflatten(-1, (-1, HEAD)).transpose(1, 2)


def _turn(heads: Tensor, at: Tensor) -> Tensor:
    """Heads (B, heads, n, 64), each pair of entries turned by an angle in proportion to its position."""
    speeds = BASE ** (-torch.arange(HEAD // 2, device=at.device) / (HEAD // 2))
    angles = (at[..., None] * speeds).to(heads.dtype)
    if at.dim() == 2:
        angles = angles[:, None]
    first, second = heads.chunk(2, dim=-1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)
