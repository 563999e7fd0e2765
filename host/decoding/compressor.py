"""SpecVLM's elastic visual compressor: several ways to make few rows of a picture's many, and a gate that picks one.

Only the drafter's rows are compressed; the target sees them all, so the output is the same whichever branch is taken.
"""

import torch
from torch import Tensor, nn

__all__ = ["BRANCHES", "QUERIES", "RATIO", "Compressor"]

#: Ways by name, in the order of the gate's logits.
BRANCHES = ("prune", "pool", "conv", "resample", "text")
#: Rows that become one in the first three, and rows that the resampler gives.
RATIO, QUERIES = 3, 2


class Compressor(nn.Module):
    """Rows (B, n, width) to fewer ones, each with a position.

    prune keeps a random choice of ceil(n / RATIO) rows, always the same one without a generator; pool averages RATIO neighbours;
    conv is a convolution with a stride of RATIO, begun as that average; resample is a cross-attention of QUERIES learned rows; text
    drops the picture. A row's position is the middle of those it is made of, and that of a resampled row the middle of its share.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, width, RATIO, stride=RATIO, bias=False)
        with torch.no_grad():
            self.conv.weight.copy_(torch.eye(width)[..., None].expand(width, width, RATIO) / RATIO)
        self.queries = nn.Parameter(torch.randn(QUERIES, width) / width**0.5)
        self.norm, self.key, self.value = (nn.RMSNorm(width, eps=1e-5), nn.Linear(width, width, bias=False),
                                           nn.Linear(width, width, bias=False))
        self.gate_norm, self.gate = nn.RMSNorm(width, eps=1e-5), nn.Linear(width, len(BRANCHES))

    def forward(self, rows: Tensor, branch: str, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Rows (B, m, width) of a branch, and their positions (m,) in the picture's own, which may lie between two."""
        batch, count, width = rows.shape
        groups = -(-count // RATIO)
        if branch == "text":
            return rows[:, :0], torch.zeros(0, device=rows.device)
        if branch == "resample":
            seen = self.norm(rows)
            weights = (self.queries @ self.key(seen).transpose(1, 2) / width**0.5).softmax(dim=-1)
            middles = (torch.arange(QUERIES, device=rows.device) + 0.5) * count / QUERIES - 0.5
            return weights @ self.value(seen), middles
        if branch == "prune":
            generator = generator if generator is not None else torch.Generator().manual_seed(count)
            kept = torch.randperm(count, generator=generator)[:groups].sort().values.to(rows.device)
            return rows[:, kept], kept.float()
        # The last group may be short: its mean is over what there is.
        full = torch.cat([rows, rows.new_zeros(batch, groups * RATIO - count, width)], dim=1)
        sizes = torch.full((groups,), float(RATIO), device=rows.device)
        sizes[-1] = count - RATIO * (groups - 1)
        starts = RATIO * torch.arange(groups, device=rows.device)
        if branch == "pool":
            made = full.view(batch, groups, RATIO, width).sum(dim=2) / sizes.to(rows.dtype)[:, None]
        elif branch == "conv":
            made = self.conv(full.transpose(1, 2)).transpose(1, 2)
        else:
            raise ValueError(f"Branch {branch!r} is not one of {', '.join(BRANCHES)}")
        return made, starts + (sizes - 1) / 2

    def choose(self, question: Tensor) -> Tensor:
        """The gate's logits (B, branches) from the target's states of a question (B, n, width)."""
        return self.gate(self.gate_norm(question.mean(dim=1)))
