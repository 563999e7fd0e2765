"""Speculative decoding with a draft model (Leviathan et al. 2023, arXiv 2211.17192; Chen et al. 2023, arXiv 2302.01318).

A smaller model of the same vocabulary drafts `gamma` tokens one after another, drawn from its laws as the target's tokens are drawn
from its own; the target takes each with probability min(1, p / q) and draws what it refuses from the rest. At temperature 0 both
take their likeliest token. The papers choose gamma by the measured acceptance; the default of 5 is theirs for most figures.

With `nodes` above 0 the draft is a tree of the likeliest continuations in place of a chain, as EAGLE-2 makes it: `gamma` levels, at
each of which the `width` likeliest nodes get `width` children. Its tokens are chosen, not drawn, so the target's own draw decides.

Cost: `gamma` forwards of the draft model a round.
"""

from typing import Any

from terntable.host.decoding.capabilities import Capability, require
from terntable.host.decoding.draft_model import BestFirst, Chain, draft_model
from terntable.host.decoding.method import Decoder, Method, Setup
from terntable.host.decoding.rules import Match, Ratio
from terntable.host.errors import InputError

__all__ = ["METHOD"]


def build(setup: Setup, *, draft: Any = "", gamma: int = 5, nodes: int = 0, width: int = 10) -> Decoder:
    """`draft` is a Hugging Face directory, or a model of transformers; without it the part `draft` of the target's model."""
    if gamma < 1 or nodes < 0 or width < 1:
        raise InputError(f"Gamma and width must be at least 1 and nodes at least 0, not {gamma}, {width} and {nodes}")
    name, target = METHOD.name, setup.target
    if nodes:
        require(name, Capability.TREE, target.name, target.capabilities)
    elif not setup.sampling.greedy:
        require(name, Capability.FULL_LAW, target.name, target.capabilities)
    model = draft_model(name, setup, draft)
    if nodes:
        return Decoder(BestFirst(model, nodes=nodes, depth=gamma, width=width), Match())
    return Decoder(Chain(model, gamma), Ratio())


METHOD = Method(name="speculative", title="Speculative decoding", paper="Leviathan et al. 2023, arXiv 2211.17192", build=build,
                trained="draft")
