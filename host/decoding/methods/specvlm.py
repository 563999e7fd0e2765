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

from terntable.host.decoding.capabilities import Capability
from terntable.host.decoding.eagle_tree import DEPTH, NODES, WIDTH
from terntable.host.decoding.method import Decoder, Method, Setup
from terntable.host.decoding.rules import Deterministic

__all__ = ["METHOD"]


def build(setup: Setup, *, branch: str = "gate", width: int = WIDTH, depth: int = DEPTH, nodes: int = NODES) -> Decoder:
    """With the gate, and EAGLE-2's sizes."""
    # A list of the methods must not need torch.
    from terntable.host.decoding.feature_drafter import trained_module
    from terntable.host.decoding.specvlm_drafter import SpecVlm, specvlm_net

    net = trained_module("specvlm", setup, "specvlm", specvlm_net)
    return Decoder(SpecVlm(setup.target, net, branch=branch, width=width, depth=depth, nodes=nodes), Deterministic())


METHOD = Method(name="specvlm", title="SpecVLM", paper="Huang et al. 2025, arXiv 2509.11815", build=build,
                needs=Capability.TREE | Capability.LAST_HIDDEN | Capability.IMAGE, trained="specvlm")
