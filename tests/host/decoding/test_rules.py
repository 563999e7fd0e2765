"""What each rule emits in one step, added up over all drafts."""

import itertools
import math

import numpy as np
import pytest

from terntable.host.decoding.kseq import KSeq, division
from terntable.host.decoding.law import TokenLaw, Uniforms
from terntable.host.decoding.lossy import TopBeta, Typical
from terntable.host.decoding.rules import Deterministic, Match, Ratio, Recursive, emitted, pick
from terntable.host.decoding.scores import Scores
from terntable.host.decoding.tree import DraftTree
from terntable.host.sampling import Sampling, draw, token_law
from tests.host.decoding.fakes import random_law


def pairs(count, most=6):
    """Target and draft laws: any, equal, without a common token, nearly equal, of one token."""
    rng = np.random.default_rng(7)
    for index in range(count):
        vocab = int(rng.integers(2, most + 1))
        p, q = random_law(rng, vocab), random_law(rng, vocab)
        kind = index % 8
        if kind == 1:
            q = p
        elif kind == 2:
            cut, order = rng.integers(1, vocab), rng.permutation(vocab)
            p = TokenLaw.of_top(order[:cut], 0.1 + rng.random(cut), vocab)
            q = TokenLaw.of_top(order[cut:], 0.1 + rng.random(vocab - cut), vocab)
        elif kind == 3:
            q = TokenLaw.of_weights(p.p * (1 + 1e-9 * rng.standard_normal(vocab)))
        elif kind == 4:
            q = TokenLaw.of_top([rng.integers(vocab)], [1.0], vocab)
        yield p, q


def independent(q, k):
    """All drafts of k tokens with their probabilities."""
    for drafted in itertools.product(np.flatnonzero(q.p).tolist(), repeat=k):
        yield drafted, math.prod(q.prob(token) for token in drafted)


def distinct(q, k):
    """All drafts of k tokens, or as many as there are, drawn without putting them back."""
    tokens = np.flatnonzero(q.p).tolist()
    for drafted in itertools.permutations(tokens, min(k, len(tokens))):
        chance, left = 1.0, q
        for token in drafted:
            chance *= left.prob(token)
            left = left.without(token)
        yield drafted, chance


def law_of(rule, p, q, drafts):
    """What a rule emits over all drafts."""
    total = np.zeros(len(p.p))
    for drafted, chance in drafts:
        tried, rest = rule.trials(p, drafted, q)
        assert all(0 <= probability <= 1 for _, probability in tried) and rest.p.min() >= 0
        total += chance * emitted((tried, rest))
    return total


@pytest.mark.parametrize(("rule", "k", "drafts"), [
    (Match(), 1, independent), (Match(), 2, independent), (Ratio(), 0, independent), (Ratio(), 1, independent),
    *((Recursive(), k, independent) for k in (0, 1, 2, 3)), *((Recursive(replaced=False), k, distinct) for k in (1, 2, 3)),
    *((KSeq(), k, independent) for k in (0, 1, 2, 3)),
], ids=lambda value: getattr(value, "__name__", None) or (type(value).__name__ if not isinstance(value, int) else None))
def test_the_law_stays_when_drafts_are_drawn(rule, k, drafts):
    for p, q in pairs(304, most=4 if k == 3 else 6):
        assert np.abs(law_of(rule, p, q, drafts(q, k)) - p.p).max() < 1e-12, (p.p, q.p)


@pytest.mark.parametrize("rule", [Match(), Deterministic()], ids=["match", "deterministic"])
def test_the_law_stays_when_drafts_are_chosen(rule):
    rng = np.random.default_rng(3)
    for p, q in pairs(304):
        for k in range(len(p.p) + 1):
            for drafted in (q.top(k), p.top(k), rng.permutation(len(p.p))[:k].tolist(), rng.integers(len(p.p), size=k).tolist()):
                assert np.abs(emitted(rule.trials(p, drafted, None)) - p.p).max() < 1e-12, (p.p, drafted)


def test_wrong_drafts_show():
    """Rules whose drafts came about in another way: the enumeration must be able to fail."""
    rng = np.random.default_rng(5)
    chosen, copies, fixed = [], [], []
    for _ in range(100):
        p, q = (TokenLaw(rng.dirichlet(np.ones(6))) for _ in "pq")
        chosen.append(np.abs(emitted(Ratio().trials(p, [q.best()], q)) - p.p).sum() / 2)
        merged = ((list(dict.fromkeys(drafted)), chance) for drafted, chance in independent(q, 2))
        copies.append(np.abs(law_of(KSeq(), p, q, merged) - p.p).sum() / 2)
        fixed.append(np.abs(law_of(Recursive(), p, q, distinct(q, 2)) - p.p).sum() / 2)
    assert np.mean(chosen) > 0.2 and np.mean(copies) > 0.001 and np.mean(fixed) > 0.001


def test_drafts_that_were_not_drawn_are_refused():
    p = TokenLaw(np.array([0.5, 0.5]))
    for rule in (Ratio(), Recursive(), KSeq()):
        with pytest.raises(ValueError, match="law"):
            rule.trials(p, [0], None)
    with pytest.raises(ValueError, match="one draft and the law it was drawn from, not 2 drafts with a law"):
        Ratio().trials(p, [0, 1], p)


def what_is_left(p, q, k, rho):
    """Of p, when k drafts were tried with a division by rho."""
    part = np.minimum(q.p, p.p / rho)
    beta = part.sum()
    return p.p - part * ((1 - (1 - beta) ** k) / beta if beta else 0)


def test_division_is_the_least_that_is_valid():
    for p, q in pairs(304):
        taken = []
        for k in (1, 2, 3, 5):
            rho = division(p, q, k)
            assert 1 <= rho <= k
            assert what_is_left(p, q, k, rho).min() > -1e-12 and what_is_left(p, q, k, k).min() > -1e-12
            beta = np.minimum(q.p, p.p / rho).sum()
            taken.append(1 - (1 - beta) ** k)
            assert abs(taken[-1] - rho * beta) < 1e-12 or rho == 1
            if rho > 1.001:
                less = rho * 0.999
                beta = np.minimum(q.p, p.p / less).sum()
                assert 1 - (1 - beta) ** k > less * beta
        assert np.diff(taken).min() > -1e-12, "more drafts, fewer accepted"


def test_one_draft_of_kseq_is_the_ratio_rule():
    for p, q in pairs(304):
        assert division(p, q, 1) == 1
        for drafted, _ in independent(q, 1):
            (_, mine), = KSeq().trials(p, drafted, q)[0]
            (_, theirs), = Ratio().trials(p, drafted, q)[0]
            assert mine == theirs


def test_equal_laws_are_always_accepted():
    for p, _ in pairs(50):
        for rule in (Ratio(), Recursive(), KSeq()):
            for drafted, _ in independent(p, 1):
                assert rule.trials(p, drafted, p)[0][0][1] == 1


def test_pick_draws_what_emitted_says():
    """With numbers at the middles of eighths, chances of whole eighths come out exactly."""
    trials = [(2, 3 / 8), (0, 5 / 8)], TokenLaw(np.array([1, 2, 1, 4]) / 8)
    counts = np.zeros(4)
    for numbers in itertools.product((np.arange(8) + 0.5) / 8, repeat=3):
        counts[pick(trials, numbers.__getitem__)] += 1
    assert np.array_equal(counts / 8**3, emitted(trials))


def test_numbers_of_a_position_are_even_and_independent():
    places = [(0, 0), (0, 1), (1, 0), (1, 1)]
    numbers = np.array([[Uniforms(seed, 9, lane)(index) for lane, index in places] for seed in range(2000)])
    assert numbers.min() >= 0 and numbers.max() < 1
    assert np.abs(numbers.mean(axis=0) - 0.5).max() < 5 * math.sqrt(1 / 12 / 2000)
    assert np.abs(np.corrcoef(numbers.T) - np.eye(4)).max() < 5 / math.sqrt(2000)


def scores_of(laws):
    """Scores of nodes with these laws at temperature 1."""
    with np.errstate(divide="ignore"):
        logits = np.log(np.array([law.p for law in laws]))
    return Scores(logits.argmax(axis=1).tolist(), logits)


def test_match_draws_as_plain_sampling_does():
    for seed, (p, q) in enumerate(pairs(100)):
        sampling = Sampling(temperature=0.7, seed=seed, top_k=3)
        tree, scores = DraftTree(0), scores_of([p])
        for token in q.top(2):
            tree.add(0, token)
        wanted = draw(token_law(scores.logits[0], sampling), seed=seed, position=11)
        assert Match().choose(tree, 0, scores, sampling, 11) == wanted


@pytest.mark.parametrize("rule", [Match(), Ratio(), Recursive(), Deterministic(), KSeq()], ids=lambda rule: type(rule).__name__)
def test_at_temperature_0_the_best_token_is_taken_whatever_was_drafted(rule):
    for p, q in pairs(50):
        tree, scores = DraftTree(0), scores_of([p])
        tree.add(0, q.best())
        assert rule.lossless and rule.choose(tree, 0, scores, Sampling(), 1) == p.best()


def test_beta_of_one_is_greedy():
    for p, q in pairs(304):
        best = np.eye(len(p.p))[p.best()]
        for k in range(4):
            assert np.array_equal(emitted(TopBeta(1).trials(p, q.top(k), None)), best)
    assert not TopBeta(1).fulfils(TokenLaw(np.array([0.4, 0.4, 0.2])), 1), "the lower of equals is first"


def test_top_beta_takes_the_first_ranks_within_the_gap():
    rule = TopBeta(3, 2.0)
    for p, _ in pairs(304):
        order = sorted(range(len(p.p)), key=lambda token, p=p: (-p.p[token], token))
        for rank, token in enumerate(order):
            near = p.p[token] > 0 and math.log(p.p[order[0]]) - math.log(p.p[token]) <= 2
            assert rule.fulfils(p, token) == (rank < 3 and near)
            wanted = token if rank < 3 and near else p.best()
            tree = DraftTree.chain(0, [token])
            assert rule.choose(tree, 0, scores_of([p]), Sampling(), 1) == wanted
    assert not rule.lossless


def test_typical_goes_by_entropy():
    flat = TokenLaw.of_weights(np.ones(100))
    assert Typical().fulfils(flat, 50), "1/100 is above 0.3 exp(-log 100)"
    assert not Typical(epsilon=0.5, delta=10).fulfils(TokenLaw(np.array([0.5, 0.5])), 0), "a half is not above itself"
    sharp = TokenLaw(np.array([0.91, 0.085, 0.005]))
    assert Typical().fulfils(sharp, 0) and not Typical().fulfils(sharp, 1), "0.085 is not above 0.09"
    tree = DraftTree(0)
    for token in (2, 1, 0):
        tree.add(0, token)
    assert Typical(0.001).choose(tree, 0, scores_of([sharp]), Sampling(), 1) == 0, "the likeliest of those that pass"
    # Nothing drafted passes: as plain decoding at either temperature.
    tree = DraftTree.chain(0, [2])
    assert Typical().choose(tree, 0, scores_of([sharp]), Sampling(), 1) == 0
    for seed in range(50):
        hot = Sampling(temperature=2.0, seed=seed)
        plain = draw(token_law(np.log(sharp.p), hot), seed=seed, position=1)
        assert Typical().choose(tree, 0, scores_of([sharp]), hot, 1) == plain
