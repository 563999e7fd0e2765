"""Input-guided aggressive decoding: the input itself is the draft (Sun et al. 2021, arXiv 2106.04970).

The first draft is the whole source. After a token that the source does not have there, the suffix of one emitted token is looked up
in the source; where it occurs more than once, one of two and of three tokens is, and where it does not occur, or three do not
decide, there is no draft. The paper has an encoder and a decoder, whose source is given; with one causal model the source is the
prompt, or the part of it that `source` says, and suffixes may reach back into the prompt.

Cost: no draft forward; rows of a pass up to the length of what is left of the source.
"""

from collections.abc import Sequence

from terntable.host.decoding.drafter import Budget, Drafter, Outcome
from terntable.host.decoding.ledger import Ledger
from terntable.host.decoding.method import Decoder, Method, Setup
from terntable.host.decoding.tree import DraftTree
from terntable.host.errors import InputError
from terntable.host.sampling import GREEDY, Sampling

__all__ = ["METHOD", "InputGuided"]

#: Longest suffix that is looked up.
LONGEST = 3


class InputGuided(Drafter):
    """Drafts from a source.

    Parameters
    ----------
    source : token ids without an end of text; the prompt if None.
    from_start : whether the first draft is the whole source, as for a decoder that begins with nothing. For a causal model that
        reads a prompt, the first token decides where in the source the output begins.

    """

    def __init__(self, source: Sequence[int] | None = None, *, from_start: bool = True) -> None:
        self._source, self._from_start = source, from_start

    def start(self, tokens: Sequence[int], sampling: Sampling = GREEDY, ledger: Ledger | None = None) -> None:
        """Index the source."""
        super().start(tokens, sampling, ledger)
        self.source = list(tokens if self._source is None else self._source)
        self._ends: dict[tuple[int, ...], list[int]] = {}
        for n in range(1, LONGEST + 1):
            for end in range(n, len(self.source) + 1):
                self._ends.setdefault(tuple(self.source[end - n:end]), []).append(end)
        self._next: int | None = 0 if self._from_start else None
        self._emitted: list[int] = []

    def propose(self, tokens: Sequence[int], budget: Budget) -> DraftTree:
        """A chain of the source from where the output stands in it."""
        place = self._next if self._next is not None else self._find()
        draft = [] if place is None else self.source[place:place + min(budget.nodes, budget.depth)]
        return DraftTree.chain(tokens[-1], draft)

    def observe(self, outcome: Outcome) -> None:
        """The next place is looked up anew."""
        self._emitted = (self._emitted + outcome.tokens)[-LONGEST:]
        self._next = None

    def _find(self) -> int | None:
        for n in range(1, len(self._emitted) + 1):
            ends = self._ends.get(tuple(self._emitted[-n:]), [])
            if len(ends) <= 1:
                return ends[0] if ends else None
        return None


def build(setup: Setup, *, source: str = "", from_start: bool = False) -> Decoder:
    """`source` is the text to be copied; without one it is the prompt."""
    if not source:
        return Decoder(InputGuided(from_start=from_start))
    if setup.tokenizer is None:
        raise InputError("Method iad was given a source as text, for which the model needs a tokenizer")
    return Decoder(InputGuided(setup.tokenizer.encode(source, add_special_tokens=False).ids, from_start=from_start))


METHOD = Method(name="iad", title="Input-guided aggressive decoding", paper="Sun et al. 2021, arXiv 2106.04970", build=build)
