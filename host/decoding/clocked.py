"""A budget controller that goes by the clock: it verifies as many nodes as pay for the time they take."""

from terntable.host.decoding.drafter import Budget, Outcome
from terntable.host.decoding.latency import Latency
from terntable.host.decoding.ledger import Ledger
from terntable.host.decoding.tree import DraftTree

__all__ = ["Clocked", "Rates"]

#: How fast old outcomes lose weight by estimate and by depth, and the tokens and seconds of old rounds.
RATE_DECAY, DEPTH_DECAY, SPEED_DECAY = 0.95, 0.98, 0.98
#: What share of a drafter's estimate is assumed without evidence, the trials it counts for, and its return per round in which
#: nothing of a draft paid.
PRIOR, PRIOR_TRIALS, RETURN = 0.6, 2.0, 0.97
#: Steps of a drafter's own estimates, and depths that are told apart.
STEPS, DEPTHS = 10, 8
#: Most draft nodes.
MOST = 48
#: Rows that a forward is tried with once, in this order, whatever they promise; the rounds after which one of them is tried again.
TRIALS, AGAIN = (8, 4, 2, 5, 16, 3, 6, 12), 64
#: Rounds at first in which a draft model may draft all it wants, to learn from, if a token of it takes less than one of the target;
#: and rounds after each of which it may once more.
LESSONS, LESSON_AGAIN = 8, 32


class Rates:
    """How often a drafted token is accepted once its parent is, by the drafter's own estimate of that, and by depth."""

    def __init__(self) -> None:
        # After the steps of the estimate come the depths, the last for all below.
        self._priors = [*(PRIOR * step / STEPS for step in range(STEPS + 1)), *[PRIOR] * DEPTHS]
        self._trials = [PRIOR_TRIALS] * len(self._priors)
        self._taken = [PRIOR_TRIALS * prior for prior in self._priors]

    def add(self, estimate: float, depth: int, accepted: bool) -> None:
        """Learn from a node whose parent was accepted; `depth` is 1 below the root."""
        for place in (round(estimate * STEPS), STEPS + min(depth, DEPTHS)):
            decay = RATE_DECAY if place <= STEPS else DEPTH_DECAY
            self._trials[place] = decay * self._trials[place] + 1
            self._taken[place] = decay * self._taken[place] + accepted

    def idle(self) -> None:
        """A round whose draft did not pay: what is known fades, so that drafts are tried again."""
        for place, prior in enumerate(self._priors):
            self._taken[place] = RETURN * self._taken[place] + (1 - RETURN) * prior * self._trials[place]

    def __call__(self, estimate: float) -> float:
        """Probability of acceptance."""
        step = round(estimate * STEPS)
        return self._taken[step] / self._trials[step]

    def chain(self, length: int) -> list[float]:
        """Probability that each token of a chain is reached, by their depths: a first right guess makes the second likelier."""
        reach, chance = [], 1.0
        for depth in range(1, length + 1):
            place = STEPS + min(depth, DEPTHS)
            chance *= self._taken[place] / self._trials[place]
            reach.append(chance)
        return reach


class Clocked:
    """Chooses the size of each draft that gives most tokens a second over all rounds, by what was measured so far.

    A round is worth its expected tokens less what the speed so far would give in the same time (Dinkelbach's method for the best
    ratio of sums). A tree is cut to the nodes of greatest estimated probability of acceptance, and filled up with any nodes where
    more rows make a shorter forward. A draft model is asked for no more tokens than pay for the time that each takes it; where
    even the first does not, the round is one of plain decoding.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self.latency, self.rates = Latency(), Rates()
        self._draft_seconds = 0.0
        self._seen = {"target": 0.0, "draft": 0.0}
        self._tokens = self._seconds = 0.0
        self._rounds = self._trial = self._lessons = 0
        # Nodes of the tree as it was proposed, and as it was cut before it was filled up.
        self._offered = self._own = 1
        # Whether no draft was asked for, since none would pay.
        self._refused = False

    def plan(self, limits: Budget) -> Budget:
        """As many tokens as pay, of a chain whose tokens are accepted as those of their depth were."""
        most, self._refused = min(self.most, limits.nodes), False
        depth, alone = min(most, limits.depth), self.latency(1)
        # A draft that costs next to nothing is cut afterwards, by its own estimates.
        cheap = self._draft_seconds < 0.01 * alone
        lesson = self._draft_seconds < alone and self._lessons < LESSONS + self._rounds // LESSON_AGAIN
        if cheap or lesson:
            return Budget(most, depth)
        best = self._best(self.rates.chain(depth), self._draft_seconds, most)
        self._refused = best == 0 < depth
        return Budget(best, best)

    def cut(self, tree: DraftTree, budget: Budget) -> DraftTree:
        """The nodes that pay, and those that fill up."""
        self._own, self._offered = len(tree), len(tree)
        if tree.laws or tree.probes or len(tree) == 1:
            return tree
        reach = self._reach(tree)
        if (tried := self._tried(1 + budget.nodes)) is not None:
            tree, rows = tree.best(tried, reach), tried
        else:
            tree = tree.best(1 + self._best(sorted(reach[1:], reverse=True), 0.0, budget.nodes), reach)
            rows = self.latency.quickest(len(tree), 1 + budget.nodes) if len(tree) > 1 else 1
        self._own = len(tree)
        _fill(tree, rows, budget.depth)
        return tree

    def observe(self, outcome: Outcome, ledger: Ledger) -> None:
        """Learn times and rates from a round."""
        spent = {what: ledger.seconds[what] - before for what, before in self._seen.items()}
        self._seen = {what: ledger.seconds[what] for what in self._seen}
        tree, path = outcome.tree, outcome.path
        if not outcome.prefix:
            self.latency.add(len(tree), spent["target"])
            self._tokens = SPEED_DECAY * self._tokens + len(outcome.tokens)
            self._seconds = SPEED_DECAY * self._seconds + sum(spent.values())
            self._rounds += 1
            if self._own > 1:
                self._lessons += 1
                each = spent["draft"] / (self._own - 1)
                self._draft_seconds = each if not self._draft_seconds else 0.8 * self._draft_seconds + 0.2 * each
        if self._refused or self._own == 1 < self._offered:
            self.rates.idle()
        for node in path:
            for child in dict.fromkeys(tree.draws.get(node, ())):
                if child < self._own:
                    self.rates.add(tree.estimates[child], tree.depths[child], child in path)

    def _reach(self, tree: DraftTree) -> list[float]:
        """Probability that each node is reached; siblings' add up to their parent's at most."""
        rates = [self.rates(estimate) for estimate in tree.estimates]
        sums = [0.0] * len(tree)
        for node in range(1, len(tree)):
            sums[tree.parents[node]] += rates[node]
        reach = [1.0]
        for node in range(1, len(tree)):
            reach.append(reach[tree.parents[node]] * rates[node] / max(1.0, sums[tree.parents[node]]))
        return reach

    def _best(self, reach: list[float], seconds: float, most: int) -> int:
        """How many nodes, at most `most`, of these probabilities and of so many seconds each, are worth most."""
        alone = self.latency(1)
        speed = max(1 / alone, self._tokens / self._seconds if self._seconds else 0.0)
        best, worth, gain = 0, 1 - speed * alone, 1.0
        for count, probability in enumerate(reach[:most], start=1):
            gain += probability
            cost = self.latency(self.latency.quickest(1 + count, 1 + most)) + count * seconds
            if (value := gain - speed * cost) > worth:
                best, worth = count, value
        return best

    def _tried(self, most: int) -> int | None:
        """Rows that this forward is to be measured with, if any."""
        due = self._rounds // AGAIN
        if self._trial < len(TRIALS) + due:
            rows = TRIALS[self._trial % len(TRIALS)]
            self._trial += 1
            return rows if rows <= most else None
        return None


def _fill(tree: DraftTree, rows: int, depth: int) -> None:
    """Add nodes up to a number of rows, at most `depth` deep; to a chain at its end, since not every target takes branches."""
    chain, parent, tokens = tree.is_chain, len(tree) - 1 if tree.is_chain else 0, sorted(set(tree.tokens))
    while len(tree) < rows and parent < len(tree):
        for token in tokens:
            if len(tree) < rows and tree.depths[parent] < depth and tree.child(parent, token) is None:
                tree.add(parent, token, 0.0)
                if chain:
                    break
        parent += 1
