"""Parallel prompt decoding: trained vectors behind each token make the frozen target guess the tokens after the next (PPD).

Paper: Chen et al. 2024, arXiv 2405.18628. Every node of a tree of guesses carries one to three trained input vectors, a chain
behind it. Vector j stands where the token j places on will stand and guesses the one after that. One tree for each number of
vectors behind the accepted node, found from measured accuracies (`sparse_tree`), is filled with the ten likeliest guesses. A pass
has the rows that should give most tokens a second, with the times measured as it runs, or `nodes` besides the root.

Decided here: guesses are chosen, not drawn, and above temperature 0 the token that plain sampling draws is looked for among them,
where the paper's code has a lossy threshold. Where a target has few rows, fewer than three vectors may be best. Cost: no draft
forward and three vectors of memory; the rows of the probes.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from terntable.host.decoding.capabilities import Capability
from terntable.host.decoding.controllers import Constant, Controller
from terntable.host.decoding.method import Decoder, Method, Setup
from terntable.host.decoding.parts import load_part
from terntable.host.decoding.probe_drafter import ProbeBudget, ProbeDrafter
from terntable.host.errors import InputError

__all__ = ["METHOD", "decoder_of"]


def decoder_of(contents: Any, accuracy: NDArray, nodes: int | None, *, dynamic: bool) -> Decoder:
    """The parts of a method with probes; `nodes` are rows besides the root, None leaves them to the clock."""
    if nodes is not None and nodes < 3:
        raise InputError(f"nodes must be at least 3, for a guess and two probes, not {nodes}")
    # Half precision may round shares of a whole above it.
    shares = accuracy.astype(np.float64)
    shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1)
    drafter = ProbeDrafter(contents, tuple(tuple(step) for step in shares.tolist()), dynamic=dynamic)
    controller: Controller = ProbeBudget(drafter.plan) if nodes is None else Constant(nodes)
    return Decoder(drafter, controller=controller)


def build(setup: Setup, *, nodes: int | None = None, dynamic: bool = True) -> Decoder:
    """`nodes` besides the root, chosen by the clock if not given; `dynamic` is whether the number of vectors differs by node."""
    _, tensors = load_part("ppd", setup.model, "ppd", setup.parts)
    return decoder_of(list(tensors["vectors"].astype(np.float32)), tensors["accuracy"], nodes, dynamic=dynamic)


METHOD = Method(name="ppd", title="Parallel prompt decoding", paper="Chen et al. 2024, arXiv 2405.18628", build=build,
                needs=Capability.CHAIN | Capability.TREE | Capability.EMBED_INPUT, trained="ppd")
