"""Drafts from probes: rows behind each node that make the target itself guess further tokens, in the pass that verifies.

Whichever node is accepted last, its guesses are there already. What a probe is made of is up to the method; which guesses are
verified and how many probes hang on each is `sparse_tree`'s. Drafting costs no forward, but probes take rows of the target's.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from terntable.host.decoding.drafter import Budget, Drafter, Outcome
from terntable.host.decoding.latency import Latency
from terntable.host.decoding.ledger import Ledger
from terntable.host.decoding.sparse_tree import RANKS, Accuracy, Plan, best_budget, search, static
from terntable.host.decoding.tree import DraftTree
from terntable.host.sampling import GREEDY, Sampling

__all__ = ["LADDER", "ProbeBudget", "ProbeDrafter"]

#: Rows besides the root that plans are made for; what a target has room for is rounded down to one of them.
LADDER = (3, 4, 5, 6, 7, 8, 10, 12, 15, 16, 20, 24, 31, 32, 40, 48, 60, 64, 105)
#: Rounds of plain decoding after which probes are tried again.
PATIENCE = 100


class ProbeDrafter(Drafter):
    """Builds a tree of the guesses behind the accepted node.

    Parameters
    ----------
    contents : what the target puts in for probe 1, 2 and so on.
    accuracy : probability that the guess of a rank is right, for each of them.
    dynamic : whether the number of probes differs from node to node.

    Attributes
    ----------
    guesses : tokens, likeliest first, of each probe behind the node that was accepted last.

    """

    def __init__(self, contents: Sequence[Any], accuracy: Accuracy, *, dynamic: bool = True) -> None:
        self.contents, self.accuracy, self.dynamic = list(contents), accuracy, dynamic

    def start(self, tokens: Sequence[int], sampling: Sampling = GREEDY, ledger: Ledger | None = None) -> None:
        """Nothing is guessed yet."""
        super().start(tokens, sampling, ledger)
        self.guesses: list[list[int]] = []
        self._behind: dict[int, list[int]] = {}
        self._ranks = RANKS

    def plan(self, rows: int) -> Plan | None:
        """The trees for so many rows, None if no node fits."""
        if rows < LADDER[0]:
            return None
        # A target may name fewer tokens for each row than there are ranks.
        known = tuple(step[:self._ranks] for step in self.accuracy)
        return (search if self.dynamic else static)(known, LADDER[bisect_right(LADDER, rows) - 1])

    def propose(self, tokens: Sequence[int], budget: Budget) -> DraftTree:
        """The plan's tree for the state, filled with the guesses; only probes in the first round."""
        tree = DraftTree(tokens[-1])
        self._behind = {}
        plan = self.plan(budget.nodes)
        if plan is None or not budget.depth:
            return tree
        state, places = min(len(self.guesses), plan.states), {0: 0}
        probes: Sequence[int] = (plan.states,)
        if state:
            shape = plan.trees[state - 1]
            probes = shape.probes
            for node in range(1, len(shape.parents)):
                step, rank, parent = shape.depths[node] - 1, shape.ranks[node], places.get(shape.parents[node])
                if parent is not None and step < budget.depth and rank < len(self.guesses[step]):
                    places[node] = tree.add(parent, self.guesses[step][rank], self.accuracy[step][rank])
        for node, place in places.items():
            last, chain = place, []
            for content in self.contents[:probes[node]]:
                last = tree.add_probe(last, content)
                chain.append(last)
            self._behind[place] = chain
        return tree

    def observe(self, outcome: Outcome) -> None:
        """Keep the guesses behind the last accepted node."""
        self.guesses = [outcome.scores.top(probe, RANKS) for probe in self._behind.get(outcome.path[-1], ())]
        for guess in self.guesses:
            self._ranks = min(self._ranks, len(guess))


class ProbeBudget:
    """Chooses the rows of each pass that should give most tokens a second, by the plans and by the times measured so far.

    Each budget is tried once, from the least up to the first that pays less than the one before. Where plain decoding pays most,
    the times are measured anew after some rounds.

    Parameters
    ----------
    plan : gives the trees for a number of rows.
    budgets : numbers of rows to choose from.

    """

    def __init__(self, plan: Callable[[int], Plan | None], budgets: Sequence[int] = (7, 15, 31, 60)) -> None:
        self.plan_of, self.budgets, self.latency = plan, tuple(budgets), Latency()
        self._tried: set[int] = set()
        self._seen, self._given, self._idle = 0.0, 0, 0

    def plan(self, limits: Budget) -> Budget:
        """The budget that is to be tried, or the one that pays most; none where plain decoding does."""
        tokens = {0: 1.0}
        for rows in sorted({min(rows, limits.nodes) for rows in self.budgets}):
            if (made := self.plan_of(rows)) is not None:
                tokens[rows] = made.tokens
        self._given = self._choose(tokens)
        self._idle = 0 if self._given else self._idle + 1
        if self._idle > PATIENCE:
            self._tried, self._idle = set(), 0
        return Budget(self._given, limits.depth)

    def cut(self, tree: DraftTree, budget: Budget) -> DraftTree:
        """The tree as it is."""
        return tree

    def observe(self, outcome: Outcome, ledger: Ledger) -> None:
        """Learn the time of a pass."""
        spent, self._seen = ledger.seconds["target"] - self._seen, ledger.seconds["target"]
        # The first pass reads the prompt too.
        if not outcome.prefix:
            self.latency.add(len(outcome.tree), spent)
            self._tried.add(self._given)

    def _choose(self, tokens: dict[int, float]) -> int:
        seconds = {rows: self.latency(1 + rows) for rows in tokens}
        best = 0.0
        for rows in list(tokens)[1:]:
            if rows not in self._tried:
                return rows
            if (rate := tokens[rows] / seconds[rows]) < best:
                break
            best = rate
        return best_budget(tokens, seconds)
