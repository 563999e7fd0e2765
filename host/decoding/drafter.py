"""What proposes drafts."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from terntable.host.decoding.ledger import Ledger
from terntable.host.decoding.scores import Scores
from terntable.host.decoding.tree import DraftTree
from terntable.host.sampling import GREEDY, Sampling
from terntable.host.target import Counters

__all__ = ["Budget", "Drafter", "Outcome"]


@dataclass(frozen=True)
class Budget:
    """Limits of a draft: nodes besides the root, probes among them, and tokens from the root down."""

    nodes: int
    depth: int


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a round gave.

    Attributes
    ----------
    tree : that was verified.
    prefix : rows of the pass before the tree's.
    path : nodes that were committed, the root first.
    tokens : that were emitted; all but the last one are those of the path after the root.
    scores : of the tree.
    length : tokens known before the round, the root included.
    counters : of the target's passes.

    """

    tree: DraftTree
    prefix: int
    path: list[int]
    tokens: list[int]
    scores: Scores
    length: int
    counters: Counters = field(default_factory=dict)


class Drafter:
    """Proposes nothing, which is plain decoding; methods override what they need.

    Attributes
    ----------
    hidden : layers whose states :meth:`observe` wants, as `DecodingTarget.score` takes them.
    counts_logits : whether :meth:`observe` wants laws even at temperature 0.

    """

    hidden: tuple[int, ...] = ()
    counts_logits: bool = False

    def start(self, tokens: Sequence[int], sampling: Sampling = GREEDY, ledger: Ledger | None = None) -> None:
        """Begin a sequence; `tokens` are those of the prompt, the last of them is the root of the first tree."""
        self.sampling, self.ledger = sampling, ledger if ledger is not None else Ledger()

    def propose(self, tokens: Sequence[int], budget: Budget) -> DraftTree:
        """A tree below the last of all known tokens, within the budget."""
        return DraftTree(tokens[-1])

    def observe(self, outcome: Outcome) -> None:
        """Learn from a round; called after its path was committed."""
