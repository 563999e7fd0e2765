"""The dynamic tree against one that is grown in full and then cut by sorting."""

from math import exp, log

import numpy as np
import pytest

from terntable.host.decoding.eagle_tree import dynamic_tree


def law_after(path, vocab=12):
    """Log-probabilities of the next token, from the tokens so far; rounded, so that there are ties."""
    rng = np.random.default_rng([3, *path])
    weights = np.round(rng.random(vocab) ** 3, 1) + 0.1
    return np.log(weights / weights.sum())


def choices(path, width):
    logs = law_after(path)
    return [(int(token), float(logs[token])) for token in np.argsort(-logs, kind="stable")[:width]]


def in_full(width, depth, nodes):
    """Token paths that stay, by the definition: the best of all that a full search makes."""
    made, frontier = {}, [(0.0, ())]
    for _ in range(depth):
        fresh = [(reach + value, (*path, token)) for reach, path in frontier for token, value in choices(path, width)]
        made |= {path: reach for reach, path in fresh}
        frontier = sorted(fresh, key=lambda one: -one[0])[:width]
    return set(sorted(made, key=lambda path: (-made[path], len(path)))[:nodes])


def grown(width, depth, nodes, calls=None):
    def expand(tree, wanted):
        if calls is not None:
            calls.append(list(wanted))
        return [choices(tuple(tree.tokens[one] for one in tree.path(node)[1:]), width) for node in wanted]

    return dynamic_tree(99, expand, width=width, depth=depth, nodes=nodes)


def paths(tree):
    return {tuple(tree.tokens[one] for one in tree.path(node)[1:]) for node in range(1, len(tree))}


@pytest.mark.parametrize(("width", "depth", "nodes"), [(10, 7, 60), (10, 7, 8), (4, 5, 25), (3, 4, 1), (1, 5, 3), (2, 1, 60)])
def test_is_the_best_of_a_full_search(width, depth, nodes):
    tree = grown(width, depth, nodes)
    assert len(tree) - 1 <= nodes and max(tree.depths) <= depth
    assert paths(tree) == in_full(width, depth, nodes)


def test_a_small_budget_saves_forwards():
    many, few = [], []
    grown(10, 7, 60, many)
    grown(10, 7, 3, few)
    assert len(few) < len(many) <= 7
    assert all(len(nodes) <= 10 for nodes in many)


def test_equals_stay_where_they_are_shallower():
    def expand(tree, nodes):
        return [[(1, 0.0), (2, log(0.5))] for _ in nodes]

    tree = dynamic_tree(0, expand, width=2, depth=6, nodes=3)
    assert tree.depths == [0, 1, 2, 3] and tree.tokens[1:] == [1, 1, 1]
    assert tree.estimates == [1.0] * 4 and exp(0.0) == 1.0


@pytest.mark.parametrize("nodes", [0, -1])
def test_no_budget_is_no_draft(nodes):
    assert len(grown(3, 3, nodes)) == 1
