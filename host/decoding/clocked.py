"""A budget controller that goes by the clock: it verifies as many nodes as pay for the time they take."""

from bisect import bisect_left

from terntable.host.decoding.drafter import Budget, Outcome
from terntable.host.decoding.ledger import Ledger
from terntable.host.decoding.tree import DraftTree

__all__ = ["Clocked", "Latency", "Rates"]

#: Widths of trees that times are kept for.
WIDTHS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
#: What a row adds to a forward, as a share of a forward of one row, until it was measured.
ROW_SHARE = 0.06
#: How fast old times and old outcomes lose weight.
TIME_DECAY, RATE_DECAY = 0.8, 0.95
#: The probability that is assumed without evidence, the trials it counts for, and its return per round that drafts nothing.
PRIOR, PRIOR_TRIALS, RETURN = 0.6, 2.0, 0.97
#: Steps of a drafter's own estimates.
STEPS = 10
#: Most draft nodes.
MOST = 48


class Latency:
    """Seconds of a forward by its rows, learned as they come."""

    def __init__(self) -> None:
        self._seconds: dict[int, float] = {}

    def add(self, rows: int, seconds: float) -> None:
        """Learn from a forward."""
        width = WIDTHS[min(bisect_left(WIDTHS, rows), len(WIDTHS) - 1)]
        known = self._seconds.get(width)
        # A forward that was interrupted by other work must not count in full.
        value = seconds if known is None else min(seconds, 2 * known)
        self._seconds[width] = value if known is None else TIME_DECAY * known + (1 - TIME_DECAY) * value

    def __call__(self, rows: int) -> float:
        """Seconds that a forward of so many rows should take; without evidence, in units of a forward of one row."""
        if not self._seconds:
            return 1 + ROW_SHARE * (rows - 1)
        known = sorted(self._seconds)
        above = bisect_left(known, rows)
        if above < len(known) and known[above] == rows:
            return self._seconds[rows]
        if 0 < above < len(known):
            low, high = known[above - 1], known[above]
            part = (rows - low) / (high - low)
            return self._seconds[low] * (1 - part) + self._seconds[high] * part
        nearest = known[0] if above == 0 else known[-1]
        slope = ROW_SHARE * self._seconds[known[0]] / (1 + ROW_SHARE * (known[0] - 1))
        if len(known) > 1:
            slope = max(slope / 4, (self._seconds[known[-1]] - self._seconds[known[0]]) / (known[-1] - known[0]))
        return max(self._seconds[nearest] + slope * (rows - nearest), 1e-9)


class Rates:
    """How often a drafted token is accepted once its parent is, by the drafter's own estimate of that."""

    def __init__(self) -> None:
        self._trials = [PRIOR_TRIALS] * (STEPS + 1)
        self._taken = [PRIOR * PRIOR_TRIALS] * (STEPS + 1)

    def add(self, estimate: float, accepted: bool) -> None:
        """Learn from a node whose parent was accepted."""
        step = round(estimate * STEPS)
        self._trials[step] = RATE_DECAY * self._trials[step] + 1
        self._taken[step] = RATE_DECAY * self._taken[step] + accepted

    def idle(self) -> None:
        """A round without drafts: what is known fades, so that drafts are tried again."""
        for step in range(STEPS + 1):
            self._taken[step] = RETURN * self._taken[step] + (1 - RETURN) * PRIOR * self._trials[step]

    def __call__(self, estimate: float) -> float:
        """Probability of acceptance."""
        step = round(estimate * STEPS)
        return self._taken[step] / self._trials[step]

    @property
    def mean(self) -> float:
        """Over all trials."""
        return sum(self._taken) / sum(self._trials)


class Clocked:
    """Chooses the size of each draft that gives most tokens a second, by what was measured so far.

    A tree is cut to the nodes of greatest estimated probability of acceptance. A draft model is asked for no more tokens than pay
    for the time that each takes it; where even the first does not, the round is one of plain decoding.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self.latency, self.rates = Latency(), Rates()
        self._draft_seconds = 0.0
        self._seen = {"target": 0.0, "draft": 0.0}

    def plan(self, limits: Budget) -> Budget:
        """As many tokens as pay, of a chain whose tokens are accepted at the mean rate."""
        most = min(self.most, limits.nodes)
        if self._draft_seconds < 0.01 * self.latency(1):
            # A draft this cheap is cut afterwards, by its own estimates.
            return Budget(most, min(most, limits.depth))
        best = self._best([self.rates.mean**depth for depth in range(1, min(most, limits.depth) + 1)], self._draft_seconds)
        return Budget(best, best)

    def cut(self, tree: DraftTree, budget: Budget) -> DraftTree:
        """The nodes that pay."""
        if tree.laws or tree.probes:
            return tree
        reach = tree.reach(self.rates)
        return tree.best(1 + self._best(sorted(reach[1:], reverse=True), 0.0), reach)

    def observe(self, outcome: Outcome, ledger: Ledger) -> None:
        """Learn times and rates from a round."""
        spent = {what: ledger.seconds[what] - before for what, before in self._seen.items()}
        self._seen = {what: ledger.seconds[what] for what in self._seen}
        tree, path = outcome.tree, outcome.path
        if not outcome.prefix:
            self.latency.add(len(tree), spent["target"])
            if len(tree) > 1:
                each = spent["draft"] / (len(tree) - 1)
                self._draft_seconds = each if not self._draft_seconds else 0.8 * self._draft_seconds + 0.2 * each
        if len(tree) == 1:
            self.rates.idle()
        for node in path:
            for child in dict.fromkeys(tree.draws.get(node, ())):
                self.rates.add(tree.estimates[child], child in path)

    def _best(self, reach: list[float], seconds: float) -> int:
        """How many nodes, of these probabilities and of so many seconds each, give most tokens a second."""
        best, speed, gain = 0, 1 / self.latency(1), 1.0
        for count, probability in enumerate(reach, start=1):
            gain += probability
            if (rate := gain / (self.latency(1 + count) + count * seconds)) > speed:
                best, speed = count, rate
        return best
