"""SpecVLM: EAGLE-2 for models that see, with a drafter that keeps few rows of the picture (Huang et al. 2025, arXiv 2509.11815).

The drafter is that of `eagle`. Rows of the drafter that come from the picture are compressed before they enter its layer, by one of
five ways (`terntable.host.decoding.compressor`): random pruning, average pooling and a strided convolution, each to a third, a
resampler with two queries, or none of the picture at all. By default a gate picks one from the target's states of the question;
`branch` names one instead. The target sees the whole picture, so every branch gives the same output.

Left open by the paper and decided here: a row of the picture is the fused row of its state and the next vector, so the last of them
has the question's first token; compressed rows keep the middle position of what they are made of, text rows their own. Of the modes
the default one is here, the gate that picks one branch; the modes that mix branches are not.

Cost: as `eagle`; the first forward also reads the compressor, and later ones attend to fewer rows.
"""

from typing import Any

import torch
from torch import Tensor, nn

from terntable.host.decoding.capabilities import Capability
from terntable.host.decoding.compressor import BRANCHES, Compressor
from terntable.host.decoding.eagle_tree import DEPTH, NODES, WIDTH
from terntable.host.decoding.feature_drafter import load_weights
from terntable.host.decoding.method import Decoder, Method, Setup
from terntable.host.decoding.methods.eagle import Eagle, FusedLayer, fused_layer
from terntable.host.decoding.rules import Deterministic
from terntable.host.errors import InputError

__all__ = ["METHOD", "SpecVlm", "SpecVlmNet", "specvlm_net"]

#: The gate decides.
GATE = "gate"


class SpecVlmNet(nn.Module):
    """All that is trained."""

    def __init__(self, layer: FusedLayer) -> None:
        super().__init__()
        self.layer, self.compressor = layer, Compressor(layer.join.out_features)


def specvlm_net(config: Any) -> SpecVlmNet:
    """A fresh net for a model's configuration."""
    return SpecVlmNet(fused_layer(config))


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


def build(setup: Setup, *, branch: str = GATE, width: int = WIDTH, depth: int = DEPTH, nodes: int = NODES) -> Decoder:
    """With the gate, and EAGLE-2's sizes."""
    net = specvlm_net(setup.target.model.config)  # type: ignore[attr-defined]
    load_weights("specvlm", setup, "specvlm", net)
    return Decoder(SpecVlm(setup.target, net, branch=branch, width=width, depth=depth, nodes=nodes), Deterministic())


METHOD = Method(name="specvlm", title="SpecVLM", paper="Huang et al. 2025, arXiv 2509.11815", build=build,
                needs=Capability.TREE | Capability.LAST_HIDDEN | Capability.IMAGE, trained="specvlm")
