"""A small bidirectional model that fills in all tokens of a block in one forward: the drafter of DEER and of GAD.

What it reads is the window of the last tokens, then k masks, then, for DEER, the SEP that ends a span. Mask and SEP have vectors of
their own but no row of the output layer, so that neither can ever be drafted. The window is short, so that a forward costs the same
however long the text is; nothing is kept between forwards, so nothing is to be taken back.

The papers' drafters have hundreds of millions of weights and copy by themselves. One that is trained for minutes does not learn to,
so each mask begins with the vector of the token that would stand there if the window went on as it did the last time; what the
model makes of that is trained. It depends on known tokens alone, as all of a law of the block does.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from terntable.host.decoding.rotary import RotaryLayer

__all__ = ["BLOCK", "WINDOW", "MaskedModel", "load_masked", "recurrence"]

#: Tokens before a block that the model sees, and most tokens of a block that it was trained for.
WINDOW, BLOCK = 48, 32
#: Most tokens at the end of a window that are looked for earlier in it.
SUFFIX = 3


def recurrence(known: Tensor, count: int, none: int) -> Tensor:
    """The `count` tokens after known ones (B, p) if they go on as after the last place where their longest suffix stood before.

    A continuation that reaches the end goes round; suffixes are of up to 3 tokens; `none` stands for no token, where the last one
    is new.
    """
    length = known.shape[1]
    ends = torch.arange(length, device=known.device)
    matched = torch.zeros_like(known)
    alike = torch.ones_like(known, dtype=torch.bool)
    for back in range(1, min(SUFFIX, length - 1) + 1):
        # Column e: whether the token `back` before e is the one `back` before the end of all.
        alike = alike & (ends >= back) & (known.roll(back, dims=1) == known[:, length - back:length - back + 1])
        matched += alike
    best = (matched * length + ends).argmax(dim=1, keepdim=True)
    places = best + torch.arange(count, device=known.device) % (length - best)
    return known.gather(1, places).masked_fill(matched.gather(1, best) == 0, none)


class MaskedModel(nn.Module):
    """Marginal laws of the tokens of a block, each independent of the others given the window.

    Parameters
    ----------
    vocab : tokens; `vocab` itself is the mask, `vocab + 1` the SEP.
    window : most tokens before a block that are read.
    ends : whether a SEP follows the block.

    """

    def __init__(self, vocab: int, *, width: int = 256, layers: int = 3, inner: int = 512, window: int = WINDOW,
                 ends: bool = False) -> None:
        super().__init__()
        self.vocab, self.window, self.ends = vocab, window, ends
        self.embed = nn.Embedding(vocab + 2, width)
        # With it one layer is enough to find what followed the same token before, which is most of copying.
        self.before = nn.Parameter(torch.full((width,), 0.5))
        self.again = nn.Parameter(torch.ones(width))
        self.layers = nn.ModuleList([RotaryLayer(width, inner) for _ in range(layers)])
        self.norm = nn.RMSNorm(width)
        nn.init.normal_(self.embed.weight, std=width ** -0.5)

    @property
    def weights(self) -> int:
        """What a forward reads: the layers and the output layer."""
        return sum(parameter.numel() for parameter in self.layers.parameters()) + self.vocab * self.embed.embedding_dim

    def forward(self, known: Tensor, span: Tensor, hidden: Tensor) -> Tensor:
        """States (B, k, width) of a span (B, k) behind known tokens (B, p), where the places `hidden` (B, k) are masks."""
        tokens, first, count = self.masked(known, span, hidden), known.shape[1], span.shape[1]
        hints = self.again * self.embed(recurrence(known, count, self.vocab)) * hidden[..., None]
        vectors = self.embed(tokens) + F.pad(hints, (0, 0, first, tokens.shape[1] - first - count))
        at = torch.arange(tokens.shape[1], device=tokens.device)
        states = vectors + self.before * F.pad(vectors[:, :-1], (0, 0, 1, 0))
        for layer in self.layers:
            states = layer(states, states, at, at)
        return self.norm(states[:, first:first + count])

    def head(self, states: Tensor) -> Tensor:
        """Logits (..., vocab) of states (..., width); mask and SEP have none."""
        return states @ self.embed.weight[:self.vocab].T

    def masked(self, known: Tensor, span: Tensor, hidden: Tensor) -> Tensor:
        """Tokens (B, n) that are read: known ones (B, p), a span (B, k) whose places `hidden` (B, k) are masks, and the SEP."""
        parts = [known, span.masked_fill(hidden, self.vocab)]
        if self.ends:
            parts.append(span.new_full((len(span), 1), self.vocab + 1))
        return torch.cat(parts, dim=1)

    def marginals(self, tokens: Sequence[int], count: int) -> NDArray[np.float32]:
        """Logits (count, vocab) of the next tokens."""
        device = self.embed.weight.device
        known = torch.tensor([list(tokens[max(0, len(tokens) - self.window):])], dtype=torch.long, device=device)
        span = known.new_zeros((1, count))
        with torch.inference_mode():
            return self.head(self(known, span, torch.ones_like(span, dtype=torch.bool))[0]).float().cpu().numpy()


def load_masked(config: dict[str, Any], tensors: dict[str, NDArray]) -> MaskedModel:
    """The model of a trained part, in float32 on the CPU."""
    model = MaskedModel(**config)
    model.load_state_dict({name: torch.from_numpy(value.astype(np.float32)) for name, value in tensors.items()})
    return model.eval()
