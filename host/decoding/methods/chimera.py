"""Chimera: a drafter of one layer that sees every token, drafted ones included (Zeng et al. 2024, arXiv 2402.15758).

A trigram encoder makes a vector of three consecutive token embeddings. The context encoder, one decoder layer, reads the target's
last hidden states of the tokens that have one, then the trigram vectors of the newer tokens. Head i joins the target's state at j
with the context encoder's output and predicts token j + 2 + i; token j + 1, which that state alone predicts, is known already.

Left open by the paper, or changed: the released head is a matrix from twice the width to the vocabulary, begun as the target's
output layer twice, [W, W]. Here head i is W A_i with W frozen and A_i begun as [I, I], which is the same at the start and smaller.
Five heads serve five levels. The list of tree paths is not given: `PATHS` has 25, 4 of them of one token. A smaller budget keeps
the nodes of greatest probability by the drafter. The released code treats drafts that were chosen as if they were drawn; here the
rule for chosen drafts keeps the law above temperature 0.

Cost: a draft forward for each level; each reads the trigram encoder, the layer, one A_i and the target's output layer.
"""

from terntable.host.decoding.capabilities import Capability
from terntable.host.decoding.method import Decoder, Method, Setup
from terntable.host.decoding.rules import Deterministic

__all__ = ["METHOD"]


def build(setup: Setup) -> Decoder:
    """With the listed tree."""
    # A list of the methods must not need torch.
    from terntable.host.decoding.chimera_drafter import Chimera, chimera_net
    from terntable.host.decoding.feature_drafter import trained_module

    net = trained_module("chimera", setup, "chimera", chimera_net)
    return Decoder(Chimera(setup.target, net), Deterministic())


METHOD = Method(name="chimera", title="Chimera", paper="Zeng et al. 2024, arXiv 2402.15758", build=build,
                needs=Capability.TREE | Capability.LAST_HIDDEN, trained="chimera")
