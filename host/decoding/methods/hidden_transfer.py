"""Hidden transfer: pseudo states of future tokens enter the model between its layers, which refine them (Wu et al. 2024).

Paper: Wu et al. 2024, arXiv 2404.12022. Behind each node of a tree of guesses stand k pseudo states: state i is a trained linear
map of the node's own state after layer t_i, and runs with the rest through the layers above, seeing the node's text and the pseudo
states before it. What the output layer says there is the guess of the token i + 1 on. The tree is that of parallel prompt
decoding.

Decided here: k is 3 and t_i, which the paper searches for in the last third of the layers, comes with the trained part. How many
pseudo states hang on a node is found as for that method, where the paper has k on each; `dynamic=false` does that. Guesses are
chosen, not drawn, and above temperature 0 the token that plain sampling draws is looked for among them. Cost: no draft forward; a
pseudo state runs through the L - t_i layers above it.
"""

from typing import Any

import numpy as np

from terntable.host.decoding.capabilities import Capability
from terntable.host.decoding.method import Decoder, Method, Setup
from terntable.host.decoding.methods.ppd import decoder_of
from terntable.host.decoding.parts import load_part

__all__ = ["METHOD"]


def build(setup: Setup, *, nodes: int | None = None, dynamic: bool = True) -> Decoder:
    """`nodes` besides the root, chosen by the clock if not given; `dynamic` is whether the number of states differs by node."""
    import torch

    from terntable.host.decoding.tree import Inject

    recipe, tensors = load_part("hidden-transfer", setup.model, "hidden-transfer", setup.parts)
    target: Any = setup.target
    given = target.embed([0])
    maps = [torch.from_numpy(weights.astype(np.float32)).to(given) for weights in tensors["maps"]]
    contents = [Inject(layer, weights) for layer, weights in zip(recipe["config"]["layers"], maps, strict=True)]
    return decoder_of(contents, tensors["accuracy"], nodes, dynamic=dynamic)


METHOD = Method(name="hidden-transfer", title="Hidden transfer", paper="Wu et al. 2024, arXiv 2404.12022", build=build,
                needs=Capability.CHAIN | Capability.TREE | Capability.MID_INJECT, trained="hidden-transfer")
