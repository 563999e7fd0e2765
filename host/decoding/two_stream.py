"""The two-stream model of XLNet in small: a stream that knows the tokens, and one that asks for a position without knowing its own.

Both streams go through the same layers. A token of the first stream attends to itself and to what its rank may see; a query of the
second starts from one learned vector, knows its place from the rotation alone, and attends to the first stream's states of the
layer before, of the ranks that it is given (Yang et al. 2019, arXiv 1906.08237, as ASSD uses it).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from terntable.host.decoding.parts import load_part
from terntable.host.decoding.rotary import RotaryLayer

__all__ = ["TwoStream", "load_any_order", "rank_masks"]


def rank_masks(ranks: Tensor, given: Tensor) -> tuple[Tensor, Tensor]:
    """What tokens see and what queries see, (B, N, N) each, by ranks (B, N), of which those below `given` (B,) are the prompt's.

    Queries of the prompt, which nobody asks, see all of it, since attention to nothing has no value.
    """
    own, other, last = ranks[:, :, None], ranks[:, None, :], given[:, None, None]
    prompt = (own < last) & (other < last)
    return (other <= own) | prompt, (other < own) | prompt


class TwoStream(nn.Module):
    """An `AnyOrderModel`.

    Parameters
    ----------
    vocab : tokens; there is no mask among them, a position without a token is a query.
    longest : positions that it was trained for.

    """

    def __init__(self, vocab: int, *, width: int = 256, layers: int = 3, inner: int = 512, longest: int = 64) -> None:
        super().__init__()
        self.vocab, self.longest, self.layers = vocab, longest, layers
        self.embed = nn.Embedding(vocab, width)
        self.query = nn.Parameter(torch.randn(width) * width ** -0.5)
        self.stack = nn.ModuleList([RotaryLayer(width, inner) for _ in range(layers)])
        self.norm = nn.RMSNorm(width)
        nn.init.normal_(self.embed.weight, std=width ** -0.5)

    @property
    def layer_weights(self) -> int:
        """Weights of a layer."""
        return sum(parameter.numel() for parameter in self.stack.parameters()) // self.layers

    def forward(self, tokens: Tensor, at: Tensor, sees: Tensor, query_at: Tensor, query_sees: Tensor) -> Tensor:
        """States (B, q, width) of queries at positions `query_at` (q,), about tokens (B, m) at positions `at` (m,).

        `sees` (m, m) and `query_sees` (q, m), or with a batch axis before, tell which tokens each attends to.
        """
        content = self.embed(tokens)
        queries = self.query.expand(len(tokens), query_at.shape[-1], -1)
        for number, layer in enumerate(self.stack):
            known = content
            if number + 1 < self.layers:
                content = layer(known, known, at, at, sees)
            queries = layer(queries, known, query_at, at, query_sees)
        return self.norm(queries)

    def head(self, states: Tensor) -> Tensor:
        """Logits (..., vocab) of states (..., width)."""
        return states @ self.embed.weight.T

    def logits(self, tokens: Sequence[int], order: Sequence[int], given: int, wanted: Sequence[int],
               seen: Sequence[int]) -> NDArray[np.floating]:
        """As `AnyOrderModel.logits`."""
        device, most = self.embed.weight.device, max(seen)
        ranks = torch.arange(most, device=device)
        sees, _ = rank_masks(ranks[None], torch.tensor([given], device=device))
        places = torch.tensor(list(order), device=device)
        query_sees = ranks[None] < torch.tensor(list(seen), device=device)[:, None]
        with torch.inference_mode():
            content = torch.tensor([list(tokens[:most])], device=device)
            states = self(content, places[:most], sees[0], places[list(wanted)], query_sees)
            logits = self.head(states[0])
        return (logits if logits.dtype == torch.float64 else logits.float()).cpu().numpy()


def load_any_order(model: str = "kjv", parts: Path | None = None) -> TwoStream:
    """The trained model `assd` for the vocabulary of a shipped model; InputError if there is none."""
    recipe, tensors = load_part("assd", model, "assd", parts)
    made = TwoStream(**recipe["config"])
    made.load_state_dict({name: torch.from_numpy(value.astype(np.float32)) for name, value in tensors.items()})
    return made.eval()
