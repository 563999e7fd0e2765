"""Trees of probes: what they hold, what is left to probes, and the chain of states."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from terntable.host.decoding.sparse_tree import best_budget, chain_law, grow, prune, search, static

SHAPE = (0.5, 0.2, 0.1, 0.05, 0.05)
ACCURACY = tuple(tuple(first * share for share in SHAPE) for first in (0.9, 0.5, 0.3))


@st.composite
def accuracies(draw):
    """Any accuracies whose ranks add up to at most 1."""
    steps, ranks = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 1 << 20)))
    table = rng.dirichlet(np.ones(ranks + 1), size=steps)[:, :ranks]
    table[rng.random(table.shape) < 0.2] = 0
    return tuple(tuple(step) for step in table.tolist())


@given(accuracies(), st.integers(0, 12), st.integers(1, 3))
def test_the_likeliest_paths_are_taken(accuracy, nodes, depth):
    tree = grow(accuracy, nodes, depth)
    steps = accuracy[:depth]
    paths = itertools.chain.from_iterable(itertools.product(*steps[:length]) for length in range(1, len(steps) + 1))
    reach = sorted((np.prod(path) for path in paths), reverse=True)
    np.testing.assert_allclose(sorted(tree.reach[1:], reverse=True), [p for p in reach[:nodes] if p > 0], rtol=1e-12)
    for node, parent in enumerate(tree.parents[1:], start=1):
        assert parent < node and tree.depths[node] == tree.depths[parent] + 1 <= depth
        assert tree.reach[node] == pytest.approx(tree.reach[parent] * accuracy[tree.depths[parent]][tree.ranks[node]])
    assert len(set(zip(tree.parents, tree.ranks, strict=True))) == len(tree.parents)
    assert sum(tree.last) == pytest.approx(1) and min(tree.last) > -1e-12
    assert tree.gain == pytest.approx(sum(last * level for last, level in zip(tree.last, tree.depths, strict=True)))


def test_probes_go_where_they_cost_least():
    tree = grow(ACCURACY, 4, 3)
    gains = [0.0, 0.9, 1.5, 1.6]
    for rows in range(4 + 3 + 4, 4 + 5 * 3 + 1):
        pruned = prune(tree, gains, rows)
        assert pruned.rows == rows and pruned.probes[0] == 3 and min(pruned.probes) >= 1
    # The gains are concave, so that taking away the cheapest is best: no other choice of as many probes expects more.
    pruned = prune(tree, gains, 14)
    expects = [sum(last * gains[count] for last, count in zip(tree.last, (3, *rest), strict=True))
               for rest in itertools.product((1, 2, 3), repeat=4) if sum(rest) == 14 - 4 - 3]
    found = sum(last * gains[count] for last, count in zip(tree.last, pruned.probes, strict=True))
    assert found == pytest.approx(max(expects))
    assert prune(tree, gains, 10) is None


@settings(deadline=None, max_examples=30)
@given(accuracies(), st.integers(0, 24))
def test_a_plan_fits_its_rows_and_its_law_is_stationary(accuracy, rows):
    plan = search(accuracy, rows)
    if plan is None:
        assert rows < 3 or not any(accuracy[0])
        return
    moves, law = chain_law(plan.trees)
    np.testing.assert_allclose(law @ moves, law, atol=1e-12)
    np.testing.assert_allclose(moves.sum(axis=1), 1)
    assert law.sum() == pytest.approx(1) and law.min() > -1e-12 and plan.law == tuple(law)
    for state, tree in enumerate(plan.trees, start=1):
        assert tree.rows <= rows and min(tree.probes) >= 1 and tree.probes[0] == plan.states and max(tree.depths) <= state
    fixed = static(accuracy, rows)
    assert fixed is None or (plan.tokens >= fixed.tokens - 1e-12 and fixed.trees[-1].rows <= rows)


def test_the_expected_tokens_are_those_of_a_simulated_chain():
    plan, rng, state, tokens = search(ACCURACY, 16), np.random.default_rng(0), 1, 0
    rounds = 10000
    for _ in range(rounds):
        tree = plan.trees[state - 1]
        last = np.array(tree.last)
        node = rng.choice(len(last), p=last / last.sum())
        tokens += tree.depths[node] + 1
        state = tree.probes[node]
    assert tokens / rounds == pytest.approx(plan.tokens, abs=0.03)


def test_more_rows_expect_more_and_the_best_budget_pays_most():
    tokens = {rows: search(ACCURACY, rows).tokens for rows in (3, 5, 7, 16, 32)}
    assert list(tokens.values()) == sorted(tokens.values()) and tokens[32] > tokens[3]
    assert best_budget(tokens, dict.fromkeys(tokens, 1.0)) == 32
    assert best_budget(tokens, {rows: rows for rows in tokens}) == 3
    assert best_budget({0: 1.0, 3: 1.0}, {0: 1.0, 3: 1.0}) == 0
