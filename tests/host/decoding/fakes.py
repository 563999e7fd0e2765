"""A target of known laws, and drafters that are right, wrong or odd."""

import numpy as np

from terntable.host.decoding.capabilities import Capability
from terntable.host.decoding.drafter import Drafter
from terntable.host.decoding.law import TokenLaw
from terntable.host.decoding.scores import Scores
from terntable.host.decoding.tree import DraftTree
from terntable.host.rows import check_path


def random_law(rng, vocab, *, zeros=True):
    """Anything from a flat law to one of a single token."""
    weights = rng.random(vocab) ** rng.choice([0.2, 1, 4])
    if zeros and rng.random() < 0.4:
        weights[rng.permutation(vocab)[:rng.integers(1, vocab)]] = 0
    return TokenLaw.of_weights(weights)


class Table:
    """A random law for every text, always the same for a seed."""

    def __init__(self, seed, vocab, *, zeros=True):
        self.seed, self.vocab, self.zeros = seed, vocab, zeros
        self._laws = {}

    def __call__(self, tokens):
        """The law of what follows tokens."""
        key = tuple(tokens)
        if key not in self._laws:
            rng = np.random.default_rng([self.seed, len(key), *key])
            self._laws[key] = random_law(rng, self.vocab, zeros=self.zeros)
        return self._laws[key]


class TableTarget:
    """Scores trees by a table; `calls` counts the passes."""

    name = "table"
    capabilities = Capability.CHAIN | Capability.TREE | Capability.FULL_LAW
    layers, layer_weights = 2, 10

    def __init__(self, table, *, context=64, rows=32):
        self.table, self.context, self.rows, self.vocab = table, context, rows, table.vocab
        self.tokens, self.calls, self._tree = [], 0, None

    @property
    def length(self):
        """Committed tokens."""
        return len(self.tokens)

    def score(self, tree, prefix=(), *, logits=False, hidden=()):
        """Logarithms of the table's laws."""
        assert not hidden and len(tree) <= self.rows and self.length + len(prefix) + len(tree) <= self.context
        self.calls += 1
        self.tokens += prefix
        self._tree = tree
        laws = [self.table([*self.tokens, *(tree.tokens[one] for one in tree.path(node))]).p for node in range(len(tree))]
        with np.errstate(divide="ignore"):
            values = np.log(np.array(laws))
        return Scores(values.argmax(axis=1).tolist(), values if logits else None, counters={"passes": 1})

    def commit(self, path):
        """Keep tokens."""
        self.tokens += [self._tree.tokens[node] for node in check_path(path, self._tree.parents)]
        self._tree = None
        return {}

    def rollback(self, length):
        """Forget tokens."""
        assert length <= self.length
        del self.tokens[length:]


class Chains(Drafter):
    """A chain of what `guess` makes of the tokens so far, as long as it may be."""

    def __init__(self, guess, length=8):
        self.guess, self.length = guess, length

    def propose(self, tokens, budget):
        """The chain."""
        tree, node, text = DraftTree(tokens[-1]), 0, list(tokens)
        for _ in range(min(self.length, budget.nodes, budget.depth)):
            text.append(self.guess(text))
            node = tree.add(node, text[-1], 0.9)
        return tree


class RandomTrees(Drafter):
    """Trees of any shape, with tokens that are drawn several times, and deeper than asked for."""

    def __init__(self, vocab, seed=0, nodes=7):
        self.vocab, self.rng, self.nodes = vocab, np.random.default_rng(seed), nodes

    def propose(self, tokens, budget):
        """The tree."""
        tree = DraftTree(tokens[-1])
        for _ in range(3 * self.nodes):
            if len(tree) > min(self.nodes, budget.nodes):
                break
            # Late parents make deep trees.
            parent = len(tree) - 1 - int(len(tree) * self.rng.random() ** 3)
            tree.add(parent, int(self.rng.integers(self.vocab)), float(self.rng.random()))
        return tree
