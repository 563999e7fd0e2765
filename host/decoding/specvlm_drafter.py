"""The drafter of SpecVLM, which is EAGLE-2's over fewer rows of a picture; see `methods.specvlm`."""

from typing import Any

import torch
from torch import Tensor, nn

from terntable.host.decoding.compressor import BRANCHES, Compressor
from terntable.host.decoding.eagle_drafter import Eagle, FusedLayer, fused_layer
from terntable.host.errors import InputError

__all__ = ["SpecVlm", "SpecVlmNet", "specvlm_net"]

#: The gate decides.
GATE = "gate"


class SpecVlmNet(nn.Module):
    """All that is trained."""

    def __init__(self, layer: FusedLayer) -> None:
        super().__init__()
        self.layer, self.compressor = layer, Compressor(layer.join.out_features)


def specvlm_net(width: int) -> SpecVlmNet:
    """A fresh net for a model of a width."""
    return SpecVlmNet(fused_layer(width))


class SpecVlm(Eagle):
    """Drafts after a compressed picture.

    Parameters
    ----------
    branch : one of `BRANCHES`, or "gate".

    Attributes
    ----------
    taken : the branch of the present sequence, None before its first draft.
    picture_rows : rows of the picture in the drafter's cache.

    """

    def __init__(self, target: Any, net: SpecVlmNet, *, branch: str = GATE, **sizes: int) -> None:
        super().__init__(target, net.layer, **sizes)
        if branch not in (GATE, *BRANCHES):
            raise InputError(f"A branch must be {GATE}, {', '.join(BRANCHES[:-1])} or {BRANCHES[-1]}, not {branch!r}")
        self.compressor, self.branch = net.compressor, branch

    def start(self, *given: Any, **named: Any) -> None:
        """Begin with a picture that is not compressed yet."""
        super().start(*given, **named)
        self.taken: str | None = None
        self.picture_rows = 0
        self._question = slice(self.target.picture_rows, len(self.text) - 1)

    def refresh(self, states: Tensor) -> Tensor:
        """As of `Eagle`; at first the picture is compressed."""
        if self.taken is not None:
            return super().refresh(states)
        pictures, end = self.target.picture_rows, len(self.text) - 1
        embedded = torch.cat([self.target.picture_vectors(), self.target.embed(self.text[pictures:])])
        rows = self.layer.fuse(states, embedded[1:])
        self.taken = self.branch
        if self.branch == GATE:
            self.taken = BRANCHES[int(self.compressor.choose(states[None, self._question]).argmax())]
        few, places = self.compressor(rows[None, :pictures], self.taken)
        self.picture_rows = few.shape[1]
        weights = sum(weight.numel() for weight in self.compressor.parameters())
        self.ledger.draft(units=weights / self.target.layer_weights, forwards=0)
        positions = torch.cat([places.to(rows.dtype), torch.arange(pictures, end, device=rows.device, dtype=rows.dtype)])
        return self.run(torch.cat([few[0], rows[pictures:]]), positions)[-1:]
