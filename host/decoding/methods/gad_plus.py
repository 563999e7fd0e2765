"""GAD++: aggressive decoding that keeps a draft among the target's best few tokens (Ge et al. 2022, arXiv 2205.10350).

The drafter is that of `terntable.host.decoding.methods.gad`. A draft passes while it is one of the target's `beta` likeliest tokens
and at most `gap` below the best one in log-probability; at the first that does not, the target's own token is taken. At temperature
0, beta of 1 or a gap of 0 gives plain GAD. The conditions are about the law at temperature 1, whatever the target's token is drawn
at.

Cost: as GAD; besides, the laws of all nodes come from the target even at temperature 0.
"""

from terntable.host.decoding.block_drafter import block_drafter
from terntable.host.decoding.capabilities import Capability
from terntable.host.decoding.lossy import TopBeta
from terntable.host.decoding.method import Decoder, Method, Setup
from terntable.host.errors import InputError

__all__ = ["METHOD"]


def build(setup: Setup, *, k: int = 25, beta: int = 5, gap: float = 3.0) -> Decoder:
    """At the paper's acceptance."""
    if beta < 1 or not gap >= 0:
        raise InputError(f"GAD++ needs beta of at least 1 and a gap of at least 0, not {beta} and {gap}")
    return Decoder(block_drafter("gad++", "gad", setup, k, drawn=False), TopBeta(beta, gap))


METHOD = Method(name="gad++", title="Generalised aggressive decoding with tolerance",
                paper="Ge et al. 2022, arXiv 2205.10350", build=build, needs=Capability.CHAIN | Capability.FULL_LAW, trained="gad",
                guarantee="lossy: drafts pass among the target's best beta tokens, within gap of the best in log-probability")
