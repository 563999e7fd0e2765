"""EAGLE-2: one decoder layer continues the target's own last hidden states (Li et al. 2024, arXiv 2401.15077 and 2406.16858).

Row j of the drafter is made of the target's state at token j and the embedding of token j + 1; what comes out stands for the
target's state at j + 1, and the target's output layer makes the law of token j + 2 of it. In the tree a row takes its parent's
output in place of the state. Embedding and output layer are the target's and stay as they are. Trees grow as
`terntable.host.decoding.eagle_tree` says.

Left open by the paper and decided here: both halves of the input are normalised (SpecVLM found that a norm at the input matters),
and the layer keeps its own input norm. The loss is that of SpecVLM, 0.1 cross-entropy with the target's law and 1.0 smooth L1 on
states, in place of EAGLE's same terms with other gold values.

Above temperature 0 the children are chosen, not drawn, so the rule is the one for chosen drafts, as in the released code.

Cost: a draft forward for each level; each reads the layer, the joining matrix and the target's output layer.
"""

from terntable.host.decoding.capabilities import Capability
from terntable.host.decoding.eagle_tree import DEPTH, NODES, WIDTH
from terntable.host.decoding.method import Decoder, Method, Setup
from terntable.host.decoding.rules import Deterministic

__all__ = ["METHOD"]


def build(setup: Setup, *, width: int = WIDTH, depth: int = DEPTH, nodes: int = NODES) -> Decoder:
    """At the sizes that SpecVLM gives for EAGLE-2; the target's own memory of rows may cut them."""
    # A list of the methods must not need torch.
    from terntable.host.decoding.eagle_drafter import Eagle, fused_layer
    from terntable.host.decoding.feature_drafter import trained_module

    layer = trained_module("eagle", setup, "eagle", fused_layer)
    return Decoder(Eagle(setup.target, layer, width=width, depth=depth, nodes=nodes), Deterministic())


METHOD = Method(name="eagle", title="EAGLE-2 (baseline)", paper="Li et al. 2024, arXiv 2406.16858", build=build,
                needs=Capability.TREE | Capability.LAST_HIDDEN, trained="eagle")
