"""One decoder layer as a drafter has it: pre-norm attention with rotary positions and a gated MLP, and its own cache."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["DraftLayer", "LayerCache", "Rows", "joined"]

#: Rotated keys and values of rows, each (B, heads, n, width / heads).
Rows = tuple[Tensor, Tensor]


def joined(rows: Rows, more: Rows) -> Rows:
    """Rows with more behind them."""
    return torch.cat([rows[0], more[0]], dim=2), torch.cat([rows[1], more[1]], dim=2)


class LayerCache:
    """Keys and values of one sequence; rows past a length are forgotten by a rollback."""

    def __init__(self) -> None:
        self.rows: Rows | None = None

    @property
    def length(self) -> int:
        """Rows that are held."""
        return 0 if self.rows is None else self.rows[0].shape[2]

    def append(self, rows: Rows) -> None:
        """Hold further rows."""
        self.rows = rows if self.rows is None else joined(self.rows, rows)

    def rollback(self, length: int) -> None:
        """Forget all but the first `length` rows."""
        if not 0 <= length <= self.length:
            raise ValueError(f"A rollback to {length} is impossible: the cache holds {self.length} rows")
        self.rows = None if self.rows is None or not length else (self.rows[0][:, :, :length], self.rows[1][:, :, :length])


class DraftLayer(nn.Module):
    """The layer of LLaMA without grouped heads.

    Parameters
    ----------
    width, heads, inner : of a row, number of heads (an even width each), and width inside the MLP.
    theta : base of the rotary frequencies.

    """

    def __init__(self, width: int, heads: int, inner: int, *, theta: float = 10_000.0) -> None:
        super().__init__()
        if width % heads or width // heads % 2:
            raise ValueError(f"A width of {width} does not give {heads} heads of an even width")
        self.heads, self.theta = heads, theta
        self.attention_norm, self.mlp_norm = nn.RMSNorm(width, eps=1e-5), nn.RMSNorm(width, eps=1e-5)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 2 * inner, bias=False), nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor, positions: Tensor, *, past: Rows | None = None, mask: Tensor | None = None) -> tuple[Tensor, Rows]:
        """What the layer makes of rows x (B, n, width), and their keys and values.

        Parameters
        ----------
        positions : of the rows, (n,).
        past : rows that may be seen besides, m of them.
        mask : (n, m + n), true where a row sees one; None is causal after all of the past.

        """
        batch, rows, width = x.shape
        q, k, v = self.qkv(self.attention_norm(x)).view(batch, rows, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k = self._rotate(q, positions), self._rotate(k, positions)
        keys, values = (k, v) if past is None else joined(past, (k, v))
        if mask is None:
            seen = keys.shape[2]
            mask = torch.ones(rows, seen, dtype=torch.bool, device=x.device).tril(seen - rows)
        mixed = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, rows, width))
        gate, up = self.up(self.mlp_norm(x)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up), (k, v)

    def _rotate(self, x: Tensor, positions: Tensor) -> Tensor:
        half = x.shape[-1] // 2
        # Half precision would tell few positions apart.
        dtype = torch.promote_types(x.dtype, torch.float32)
        rates = self.theta ** (-torch.arange(half, dtype=dtype, device=x.device) / half)
        angles = positions.to(dtype)[:, None] * rates
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        a, b = x[..., :half], x[..., half:]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)
