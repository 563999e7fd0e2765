"""ADED: a table of trigrams that adapts to the text, searched for likely continuations (Liu et al. 2024, arXiv 2407.12021).

Before each draft the score of every triple in the last 16 tokens rises by 0.04, to 3 at most; a triple is counted in each round in
which it is in this window. A Monte Carlo tree search from the last two tokens gives the tree. The table is that of a corpus (see
`terntable.host.decoding.trigrams`), or begins empty. It is the text's own: no other text, and no refused draft, changes it.

The released code rolls out with the score of the current token in place of the following one, so the value is nearly constant;
`quirk` gives that. It draws anew for each path above temperature 0, which is not the target's law. The tree here is searched, not
drawn from a law, so one draw of the target at each node decides, as in plain sampling. About a pair without successors the released
code drafts an arbitrary token; here there is no draft, and the pass is one of plain decoding. A tree for a smaller budget keeps the
nodes of most visits; a target that verifies no trees gets the path of most visits.

Cost: no draft forward, 1 to 3 ms of search a round; 49 rows a pass at most, so the paper's limit of 64 holds.
"""

from collections.abc import Sequence
from random import Random

from terntable.host.decoding.capabilities import Capability
from terntable.host.decoding.drafter import Budget, Drafter
from terntable.host.decoding.ledger import Ledger
from terntable.host.decoding.method import Decoder, Method, Setup
from terntable.host.decoding.parts import kept, part_file
from terntable.host.decoding.rules import Match
from terntable.host.decoding.tree import DraftTree
from terntable.host.decoding.tree_search import Found, Search, best_first, monte_carlo
from terntable.host.decoding.trigram_scores import TrigramScores
from terntable.host.decoding.trigrams import TrigramCorpus
from terntable.host.errors import InputError
from terntable.host.sampling import GREEDY, Sampling

__all__ = ["METHOD", "PART", "AdaptiveTrigrams"]

#: Name of the corpus among a model's parts.
PART = "aded"

SEARCH = Search()


class AdaptiveTrigrams(Drafter):
    """Drafts from the table.

    Parameters
    ----------
    corpus : what the table begins with; empty if None.
    depth, nodes : most tokens of a path, and of the tree.
    window : last tokens whose triples are counted before each draft; 0 for a table that does not adapt.
    step, cap : what is added to a score, and its limit.
    search : constants of the tree search; None takes the nodes of greatest product of scores.
    branches : whether the target verifies trees.

    """

    def __init__(self, corpus: TrigramCorpus | None = None, *, depth: int = 4, nodes: int = 64, window: int = 16,
                 step: float = 0.04, cap: float = 3.0, search: Search | None = SEARCH, branches: bool = True) -> None:
        if depth < 1 or nodes < 1 or window < 0:
            raise InputError(f"ADED needs depth and nodes of at least 1, a window of at least 0, not {depth}, {nodes} and {window}")
        self.corpus, self.depth, self.nodes, self.window, self.step, self.cap = corpus, depth, nodes, window, step, cap
        self.search, self.branches = search, branches

    def start(self, tokens: Sequence[int], sampling: Sampling = GREEDY, ledger: Ledger | None = None) -> None:
        """Begin with the corpus."""
        super().start(tokens, sampling, ledger)
        self.scores = TrigramScores(self.corpus, step=self.step, cap=self.cap)
        self._random = Random(sampling.seed)

    def propose(self, tokens: Sequence[int], budget: Budget) -> DraftTree:
        """What may follow the last two tokens, once the table has adapted to them."""
        self.scores.adapt(tokens[max(0, len(tokens) - self.window):])
        tree, depth, nodes = DraftTree(tokens[-1]), min(self.depth, budget.depth), min(self.nodes, budget.nodes)
        if len(tokens) < 2 or depth < 1 or nodes < 1 or not self.scores.successors((tokens[-2], tokens[-1])).tokens:
            return tree
        if self.search is None:
            found = best_first(self.scores, tokens[-2], tokens[-1], depth=depth, nodes=nodes)
        else:
            found = monte_carlo(self.scores, tokens[-2], tokens[-1], depth=depth, search=self.search, random=self._random)
        places = {-1: 0}
        for number in _heaviest(found, nodes) if self.branches else _path(found, nodes):
            one = found[number]
            places[number] = tree.add(places[one.parent], one.token, one.estimate)
        return tree


def _heaviest(found: list[Found], count: int) -> list[int]:
    """Numbers of the nodes of greatest weight; the sort is stable, so each comes after its parent."""
    return sorted(range(len(found)), key=lambda number: -found[number].weight)[:count]


def _path(found: list[Found], length: int) -> list[int]:
    """Numbers of the nodes from the root down, the heaviest child at each."""
    children: dict[int, list[int]] = {}
    for number in _heaviest(found, len(found)):
        children.setdefault(found[number].parent, []).append(number)
    path: list[int] = []
    node = -1
    while node in children and len(path) < length:
        node = children[node][0]
        path.append(node)
    return path


def build(setup: Setup, *, corpus: bool = True, adapt: bool = True, search: bool = True, quirk: bool = False, depth: int = 4,
          nodes: int = 64, window: int = 16, step: float = 0.04, cap: float = 3.0, iterations: int = 150) -> Decoder:
    """`corpus` and `adapt` turn off what the table begins with and learns; without `search` the best products make the tree."""
    path = part_file(setup.model, PART, setup.parts) if corpus else None
    table = None if path is None else kept(path, lambda: TrigramCorpus.load(path))
    if table is not None and table.vocab != setup.target.vocab:
        raise InputError(f"{path} has trigrams of {table.vocab} tokens, but target {setup.target.name} has {setup.target.vocab}")
    return Decoder(AdaptiveTrigrams(
        table, depth=depth, nodes=nodes, window=window if adapt else 0, step=step, cap=cap,
        search=Search(iterations=iterations, quirk=quirk) if search else None,
        branches=Capability.TREE in setup.target.capabilities), Match())


METHOD = Method(name="aded", title="Adaptive draft-verification", paper="Liu et al. 2024, arXiv 2407.12021", build=build)
