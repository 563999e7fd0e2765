"""Prompt lookup: what followed the last tokens when they stood in the text before (Saxena 2023, in transformers since 4.37).

The longest suffix of at most `ngram` tokens that occurs earlier is looked up, and the `length` tokens after its first occurrence
are the draft. Drafting costs no forward; the guarantee is the rule's.
"""

from collections.abc import Sequence

from terntable.host.decoding.drafter import Budget, Drafter, Outcome
from terntable.host.decoding.ledger import Ledger
from terntable.host.decoding.method import Decoder, Method, Setup
from terntable.host.decoding.tree import DraftTree
from terntable.host.errors import InputError
from terntable.host.sampling import GREEDY, Sampling

__all__ = ["METHOD", "PromptLookup"]


class PromptLookup(Drafter):
    """Keeps where each n-gram began first, so that a lookup does not search the text.

    Parameters
    ----------
    ngram : longest suffix that is looked up.
    length : most tokens of a draft.
    latest : whether the last occurrence counts instead of the first.

    """

    def __init__(self, ngram: int = 2, length: int = 10, *, latest: bool = False) -> None:
        if ngram < 1 or length < 1:
            raise InputError(f"Prompt lookup needs an n-gram and a length of at least 1, not {ngram} and {length}")
        self.ngram, self.length, self.latest = ngram, length, latest

    def start(self, tokens: Sequence[int], sampling: Sampling = GREEDY, ledger: Ledger | None = None) -> None:
        """Index a prompt."""
        super().start(tokens, sampling, ledger)
        self._ends: dict[tuple[int, ...], int] = {}
        self._text: list[int] = []
        self._append(tokens)

    def _append(self, tokens: Sequence[int]) -> None:
        for token in tokens:
            # The n-grams that end before this token: what follows them is known now.
            end = len(self._text)
            for n in range(1, min(self.ngram, end) + 1):
                key = tuple(self._text[end - n:end])
                if self.latest:
                    self._ends[key] = end
                else:
                    self._ends.setdefault(key, end)
            self._text.append(token)

    def propose(self, tokens: Sequence[int], budget: Budget) -> DraftTree:
        """A chain of what followed."""
        most = min(self.length, budget.nodes, budget.depth)
        for n in range(min(self.ngram, len(self._text)), 0, -1):
            end = self._ends.get(tuple(self._text[-n:]))
            if end is not None:
                return DraftTree.chain(tokens[-1], self._text[end:end + most], n / (n + 1))
        return DraftTree(tokens[-1])

    def observe(self, outcome: Outcome) -> None:
        """Index what was emitted."""
        self._append(outcome.tokens)


def build(setup: Setup, *, ngram: int = 2, length: int = 10) -> Decoder:
    """At the defaults of transformers."""
    return Decoder(PromptLookup(ngram, length))


METHOD = Method(name="prompt-lookup", title="Prompt lookup decoding",
                paper="Saxena 2023, github.com/apoorvumang/prompt-lookup-decoding", build=build)
