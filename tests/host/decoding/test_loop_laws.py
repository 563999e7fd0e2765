"""The joint law of whole rounds, over all drafts and all trials, against the target's own."""

import pytest

from terntable.host.decoding import rules
from terntable.host.decoding.controllers import Constant
from terntable.host.decoding.drafter import Drafter
from terntable.host.decoding.kseq import KSeq
from terntable.host.decoding.law import TokenLaw, Uniforms
from terntable.host.decoding.loop import decode
from terntable.host.decoding.rules import Deterministic, Match, Ratio, Recursive
from terntable.host.decoding.tree import DraftTree
from terntable.host.sampling import Sampling
from tests.host.decoding.enumeration import Choices, distance
from tests.host.decoding.fakes import Table, TableTarget

PROMPT = [1, 0]
WARM = Sampling(temperature=1.0, seed=0)


class Sampled(Drafter):
    """Sequences drawn from a table of laws; `width[depth]` draws at each node, or as many as have come there if there are more.

    Parameters
    ----------
    draw : (law, position, index) -> token.
    independent : the draws of the root each go on by themselves, as k sequences do, instead of `width` ones at each node.
    replaced : whether a token can be drawn twice at a node.

    """

    def __init__(self, table, draw, width, *, independent=False, replaced=True):
        self.table, self.draw, self.width, self.independent, self.replaced = table, draw, width, independent, replaced

    def propose(self, tokens, budget):
        """The tree."""
        tree, index = DraftTree(tokens[-1]), 0
        arrived = {0: self.width[0]}
        for depth in range(min(len(self.width), budget.depth)):
            reached = {}
            for node, count in arrived.items():
                law = tree.laws[node] = self.table([*tokens, *(tree.tokens[one] for one in tree.path(node)[1:])])
                left = law
                for _ in range(count if self.independent else self.width[depth]):
                    if left is None:
                        break
                    index += 1
                    token = self.draw(left, len(tokens) + depth, index)
                    child = tree.add(node, token)
                    reached[child] = reached.get(child, 0) + 1
                    left = law if self.replaced else left.without(token)
            arrived = reached
        return tree


class Chosen(Drafter):
    """The likeliest tokens of a table's laws, some of them written down twice."""

    def __init__(self, table, width):
        self.table, self.width = table, width

    def propose(self, tokens, budget):
        """The tree."""
        tree, level = DraftTree(tokens[-1]), [0]
        for width in self.width[:budget.depth]:
            level = [tree.add(node, token) for node in level
                     for token in self.table([*tokens, *(tree.tokens[one] for one in tree.path(node)[1:])]).top(width)]
            for node in level[:1]:
                tree.add(tree.parents[node], tree.tokens[node])
        return tree


def plain(table, count, eos=(), text=()):
    """Law of `count` tokens drawn one after another."""
    if len(text) == count or (text and text[-1] in eos):
        return {text: 1.0}
    law = table([*PROMPT, *text])
    return {whole: law.prob(token) * chance for token in range(table.vocab) if law.prob(token)
            for whole, chance in plain(table, count, eos, (*text, token)).items()}


def joint(monkeypatch, table, make, rule, count, eos=(), nodes=None):
    """Law of `count` tokens by a drafter, which `make` makes from what draws for it."""
    choices, target = Choices(), TableTarget(table)
    monkeypatch.setattr(rules, "pick", choices.pick)

    def run():
        drafter = make(lambda law, position, index: choices.of(law.p))
        rounds = decode(target, PROMPT, drafter=drafter, rule=rule, sampling=WARM, max_tokens=count, eos=eos,
                        controller=Constant(nodes=nodes))
        return tuple(token for outcome in rounds for token in outcome.tokens)

    return choices.law(run)


def tables(seed, vocab):
    """A target's table and a drafter's."""
    return Table(seed, vocab), Table(seed + 1000, vocab)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("eos", [(), (2,)], ids=["no end", "an end"])
@pytest.mark.parametrize(("rule", "count", "vocab", "options"), [
    (Ratio(), 4, 3, {"width": [1, 1]}),
    (Ratio(), 3, 4, {"width": [1, 1, 1]}),
    (KSeq(), 3, 3, {"width": [2, 2], "independent": True}),
    (KSeq(), 3, 3, {"width": [3], "independent": True}),
    (Recursive(), 3, 3, {"width": [2, 2], "independent": True}),
    (Recursive(), 3, 3, {"width": [2, 1]}),
    (Recursive(replaced=False), 3, 3, {"width": [2, 2], "replaced": False}),
    (Match(), 3, 3, {"width": [2, 1]}),
], ids=["chain", "long chain", "k sequences", "3 sequences", "independent tree", "tree", "tree without replacement", "match"])
def test_drawn_drafts_keep_the_joint_law(monkeypatch, seed, eos, rule, count, vocab, options):
    target, draft = tables(seed, vocab)
    found = joint(monkeypatch, target, lambda draw: Sampled(draft, draw, **options), rule, count, eos)
    assert distance(found, plain(target, count, eos)) < 1e-12
    assert abs(sum(found.values()) - 1) < 1e-12


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("rule", [Deterministic(), Match()], ids=["deterministic", "match"])
@pytest.mark.parametrize("width", [[2, 2], [3, 1, 1], [4]], ids=str)
def test_chosen_drafts_keep_the_joint_law(monkeypatch, seed, rule, width):
    target, draft = tables(seed, 4)
    found = joint(monkeypatch, target, lambda draw: Chosen(draft, width), rule, 4, eos=(3,))
    assert distance(found, plain(target, 4, (3,))) < 1e-12


def test_a_draft_of_the_targets_own_laws_is_always_taken(monkeypatch):
    table, choices = Table(0, 3), Choices()
    monkeypatch.setattr(rules, "pick", choices.pick)

    def rounds():
        drafter = Sampled(table, lambda law, position, index: choices.of(law.p), [1, 1, 1])
        return sum(1 for _ in decode(TableTarget(table), PROMPT, drafter=drafter, rule=Ratio(), sampling=WARM, max_tokens=4))

    # The target's laws went through logarithms, so that the ratio may be a hair below 1.
    assert choices.law(rounds)[1] > 1 - 1e-12


def test_a_law_that_was_not_drawn_from_shows(monkeypatch):
    """The enumeration must be able to fail."""
    target, draft = Table(0, 3, zeros=False), Table(1, 3, zeros=False)

    def make(draw):
        return Sampled(draft, lambda law, position, index: draw(TokenLaw.of_weights(law.p**2), position, index), [1, 1])

    assert distance(joint(monkeypatch, target, make, Ratio(), 3), plain(target, 3)) > 0.01


def test_numbers_by_place_are_as_good_as_any():
    """With the numbers that are really used, over many seeds, drafts that one round drops and the next draws again among them."""
    target, draft = Table(5, 3, zeros=False), Table(1005, 3, zeros=False)
    runs, counts = 4000, {}
    for seed in range(runs):
        drafter = Sampled(draft, lambda law, position, index, seed=seed: law.draw(Uniforms(seed, position, lane=1)()), [1, 1])
        rounds = decode(TableTarget(target), PROMPT, drafter=drafter, rule=Ratio(), max_tokens=3,
                        sampling=Sampling(temperature=1.0, seed=seed))
        text = tuple(token for outcome in rounds for token in outcome.tokens)
        counts[text] = counts.get(text, 0) + 1
    for text, chance in plain(target, 3).items():
        assert abs(counts.get(text, 0) / runs - chance) < 5 * (chance * (1 - chance) / runs) ** 0.5 + 1 / runs
