"""What a generation cost: forwards, nodes, drafts and seconds, and the figures that follow from them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from terntable.host.target import Counters, add_counters

__all__ = ["Ledger"]


@dataclass
class Ledger:
    """Counts of one generation. Every new token counts, and every forward that verified a tree; the forward that reads the prompt's
    end is one of them, since it gives the first token. Plain decoding has one token per forward.

    Attributes
    ----------
    forwards : passes of the target over a tree.
    nodes : rows of their trees, roots and probes included.
    emitted : tokens of each forward.
    drafted, accepted : nodes by depth, 1 at index 0, that were tokens of a draft, and that were accepted.
    draft_forwards : of draft models.
    draft_units : weights that drafting read, in those of a layer of the target.
    prompt : tokens of the prompt.
    seconds : by what they went to: target, draft, core.
    counters : of the target's passes, where it has any.

    """

    prompt: int = 0
    forwards: int = 0
    nodes: int = 0
    emitted: list[int] = field(default_factory=list)
    drafted: list[int] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)
    draft_forwards: int = 0
    draft_units: float = 0.0
    seconds: dict[str, float] = field(default_factory=lambda: {"target": 0.0, "draft": 0.0, "core": 0.0})
    counters: Counters = field(default_factory=dict)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Book the time of a block."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[what] += time.perf_counter() - start

    def draft(self, *, units: float, forwards: int = 1) -> None:
        """Book forwards of a draft model, `units` in all."""
        self.draft_forwards += forwards
        self.draft_units += units

    def round(self, *, nodes: int, depths: list[int], emitted: int, accepted: int, counters: Counters) -> None:
        """Book a verified tree: its rows, the depths of its drafted nodes, and what came out."""
        self.forwards += 1
        self.nodes += nodes
        self.emitted.append(emitted)
        _count(self.drafted, depths)
        _count(self.accepted, range(1, accepted + 1))
        self.counters = add_counters(self.counters, counters)

    def include(self, other: "Ledger") -> None:
        """Book all of another generation too, but for its counters, which may be of another kind."""
        self.prompt += other.prompt
        self.forwards += other.forwards
        self.nodes += other.nodes
        self.emitted += other.emitted
        self.draft_forwards += other.draft_forwards
        self.draft_units += other.draft_units
        for name, value in other.seconds.items():
            self.seconds[name] += value
        for table, more in ((self.drafted, other.drafted), (self.accepted, other.accepted)):
            table.extend([0] * (len(more) - len(table)))
            for depth, count in enumerate(more):
                table[depth] += count

    @property
    def new_tokens(self) -> int:
        """Tokens that were emitted."""
        return sum(self.emitted)

    @property
    def tokens_per_forward(self) -> float:
        """New tokens by forwards; 1 is plain decoding."""
        return self.new_tokens / self.forwards if self.forwards else 0.0

    @property
    def verify_width(self) -> float:
        """Rows of a forward's tree, on average."""
        return self.nodes / self.forwards if self.forwards else 0.0

    @property
    def draft_cost(self) -> float:
        """Weights that drafting read for a new token, in layers of the target."""
        return self.draft_units / self.new_tokens if self.emitted else 0.0

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {"tokens": self.new_tokens, "forwards": self.forwards, "tokens_per_forward": self.tokens_per_forward,
                "verify_width": self.verify_width, "draft_cost": self.draft_cost, "draft_forwards": self.draft_forwards,
                "nodes": self.nodes, "drafted": self.drafted, "accepted": self.accepted, "seconds": self.seconds,
                "counters": self.counters}

    def __str__(self) -> str:
        depths = " ".join(f"{a}/{d}" for a, d in zip(self.accepted, self.drafted, strict=False))
        return (f"{self.new_tokens} tokens in {self.forwards} forwards of {self.verify_width:.1f} rows, "
                f"{self.tokens_per_forward:.2f} a forward; accepted by depth {depths or 'nothing'}; "
                f"draft cost {self.draft_cost:.2f} layers a token; "
                + ", ".join(f"{name} {seconds:.3f} s" for name, seconds in self.seconds.items()))


def _count(table: list[int], depths: Any) -> None:
    for depth in depths:
        table.extend([0] * (depth - len(table)))
        table[depth - 1] += 1
