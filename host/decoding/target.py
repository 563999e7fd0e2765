"""What the verify loop needs of whatever runs the model."""

from collections.abc import Sequence
from typing import Protocol

from terntable.host.decoding.capabilities import Capability
from terntable.host.decoding.scores import Scores
from terntable.host.decoding.tree import DraftTree
from terntable.host.states import LAST
from terntable.host.target import Counters, TokenSequence

__all__ = ["LAST", "DecodingTarget"]


class DecodingTarget(TokenSequence, Protocol):
    """A sequence with a cache, of which the last known token is not a part yet: it is the root of the next tree.

    Attributes
    ----------
    name : for messages.
    capabilities : what it can do.
    rows : most nodes of a tree.
    layers : of the model; the unit of draft costs is the weights of one.
    layer_weights : weights of a layer.

    """

    name: str
    capabilities: Capability
    rows: int
    layers: int
    layer_weights: int

    def score(self, tree: DraftTree, prefix: Sequence[int] = (), *, logits: bool = False,
              hidden: Sequence[int] = ()) -> Scores:
        """Run and commit `prefix`, then run a tree after it without committing it; a tree scored before that was not is given up.

        Parameters
        ----------
        tree : at most `rows` nodes.
        prefix : known tokens that are not committed yet; the root of the tree follows them.
        logits : whether laws may be asked for.
        hidden : layers whose states are wanted: 0 is what enters the first layer, i below `layers` what layer i gives, LAST what
            enters the output layer.

        """

    def commit(self, path: Sequence[int]) -> Counters:
        """Keep the nodes of the tree scored last on a path from its root down; counters of what that took."""
