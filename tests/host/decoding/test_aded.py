import itertools
import math
import random
import subprocess
import sys

import numpy as np
import pytest

from terntable.host.decoding.accelerator_target import AcceleratorTarget
from terntable.host.decoding.capabilities import Capability
from terntable.host.decoding.drafter import Budget
from terntable.host.decoding.generation import run_method
from terntable.host.decoding.method import Setup
from terntable.host.decoding.methods.aded import METHOD, AdaptiveTrigrams
from terntable.host.decoding.tree_search import Search, best_first, monte_carlo
from terntable.host.decoding.trigram_scores import TrigramScores
from terntable.host.decoding.trigrams import TrigramCorpus
from terntable.host.errors import InputError
from terntable.host.sampling import GREEDY, Sampling
from tests.host.decoding.fakes import Table, TableTarget

SAMPLINGS = (GREEDY, Sampling(temperature=1.0, seed=3), Sampling(temperature=0.7, top_p=0.9, seed=4))


class Recent(Table):
    """Laws that depend on the last two tokens only."""

    def __call__(self, tokens):
        """The law of what follows tokens."""
        return super().__call__(tokens[-2:])


def toy(vocab=6, seed=0):
    """A target that a table of triples can learn."""
    return TableTarget(Recent(seed, vocab, zeros=False), context=512, rows=128)


def corpus(vocab=12, length=3000, seed=1):
    return TrigramCorpus.count([np.random.default_rng(seed).zipf(1.4, length) % vocab], vocab)


def said_by(target, length=400):
    """A text in the target's own manner."""
    return TrigramCorpus.count([run_method(target, "greedy", [1, 2, 3], max_tokens=length,
                                           sampling=Sampling(temperature=1.0, seed=9)).tokens], target.vocab)


def naive_search(scores, a, b, levels, iterations, c1, c2, quirk, rng):
    """The search of the paper with a dictionary: path of tokens -> [visits, sum of values]."""
    seen, expanded = {(): [0, 0.0]}, set()

    def state(path):
        return ((a, b) + path)[-2:]

    def row(pair):
        return list(zip(*scores.successors(pair)[:2], strict=True))

    def gain(pair, token, score):
        return scores.score(*pair, pair[1]) if quirk else score

    for _ in range(iterations):
        path, value = (), 1.0
        while path in expanded:
            n = seen[path][0]

            def bound(option, path=path, n=n):
                token, prior = option
                visits, total = seen.get(path + (token,), (0, 0.0))
                if not visits:
                    return math.inf
                return total / visits + (c1 + math.log((n + c2 + 1) / c2)) * prior * math.sqrt(n) / (1 + visits)

            token, prior = max(row(state(path)), key=bound)
            value += gain(state(path), token, prior)
            path += (token,)
        rolled = path
        if len(path) < levels and row(state(path)):
            expanded.add(path)
        while len(rolled) < levels and row(state(rolled)):
            options = row(state(rolled))
            left = rng.random() * math.fsum(score for _, score in options)
            place = 0
            while left >= options[place][1] and place < len(options) - 1:
                left -= options[place][1]
                place += 1
            token, score = options[place]
            value += gain(state(rolled), token, score)
            rolled += (token,)
        for end in range(len(path) + 1):
            entry = seen.setdefault(path[:end], [0, 0.0])
            entry[0], entry[1] = entry[0] + 1, entry[1] + value
    return {path: visits for path, (visits, _) in seen.items() if path}


def paths_of(found):
    paths = {-1: ()}
    for number, one in enumerate(found):
        paths[number] = (*paths[one.parent], one.token)
    return [paths[number] for number in range(len(found))]


@pytest.mark.parametrize("quirk", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_search_is_the_papers(quirk, seed):
    scores = TrigramScores(corpus())
    scores.adapt([1, 2, 3, 1, 2, 3, 1, 2, 1] * 3)
    # A small c1 lets the rest of the factor, and the values, matter.
    search = Search(quirk=quirk, kept=10_000, c1=(32.0, 0.1, 0.0)[seed], c2=(8.0, 1.0, 0.3)[seed])
    found = monte_carlo(scores, 1, 2, depth=4, search=search, random=random.Random(seed))
    wanted = naive_search(scores, 1, 2, 3, search.iterations, search.c1, search.c2, quirk, random.Random(seed))
    visits = {path: one.weight for path, one in zip(paths_of(found), found, strict=True) if isinstance(one.weight, int)}
    assert visits == wanted
    assert sum(count for path, count in wanted.items() if len(path) == 1) == search.iterations - 1


def test_most_visited_prefixes_get_their_likeliest_successor():
    scores = TrigramScores(corpus())
    # Rows of a sharp table are searched deeply.
    scores.adapt([1, 2, 3, 4, 5] * 10)
    found = monte_carlo(scores, 1, 2, depth=4, search=Search(), random=random.Random(0))
    paths = paths_of(found)
    prefixes = paths[:24]
    assert len(set(paths)) == len(paths) <= 48 and max(map(len, paths)) == 4 and max(map(len, prefixes)) <= 3
    for path in prefixes:
        following = scores.successors(((1, 2) + path)[-2:]).tokens
        assert not following or path + (following[0],) in paths
    for number, one in enumerate(found):
        assert one.parent < number and (one.parent < 0 or one.weight <= found[one.parent].weight)


def test_best_first_is_the_greatest_products():
    scores = TrigramScores(corpus(vocab=5, length=60))
    scores.adapt([1, 2, 3] * 5)
    products = {}
    for length in (1, 2, 3):
        for path in itertools.product(range(5), repeat=length):
            product = 1.0
            for place in range(length):
                pair = ((1, 2) + path[:place])[-2:]
                row = scores.successors(pair)
                product *= row.share(scores.score(*pair, path[place])) if row.tokens else 0
            if product:
                products[path] = product
    found = best_first(scores, 1, 2, depth=3, nodes=20)
    assert len(found) == 20
    assert [one.weight for one in found] == pytest.approx(sorted(products.values(), reverse=True)[:20])
    assert all(products[path] == pytest.approx(one.weight) for path, one in zip(paths_of(found), found, strict=True))
    assert len(best_first(scores, 1, 2, depth=3, nodes=10_000)) == len(products)


@pytest.mark.parametrize("search", [Search(), None])
@pytest.mark.parametrize("branches", [True, False])
def test_trees_keep_to_their_limits(search, branches):
    drafter = AdaptiveTrigrams(corpus(), search=search, branches=branches)
    drafter.start([1, 2, 3])
    for nodes, depth in itertools.product((0, 1, 3, 7, 64, 1000), (0, 1, 2, 3, 4, 9)):
        tree = drafter.propose([3, 1, 2], Budget(nodes, depth))
        assert len(tree) - 1 <= min(nodes, 64) and max(tree.depths) <= min(depth, 4)
        assert (len(tree) > 1) == (nodes > 0 and depth > 0)
        assert branches or tree.is_chain
        assert all(0 < estimate <= 1 for estimate in tree.estimates)


def test_chain_is_the_path_of_most_visits():
    pair = TrigramCorpus.count([[1, 2, 3, 4, 5]], 8)
    drafter = AdaptiveTrigrams(pair, branches=False)
    drafter.start([1, 2])
    assert drafter.propose([1, 2], Budget(9, 9)).tokens == [2, 3, 4, 5]


def test_window_is_counted_again_in_each_round():
    drafter = AdaptiveTrigrams(window=4)
    drafter.start([1, 2, 3, 4, 5])
    for _ in range(2):
        drafter.propose([1, 2, 3, 4, 5], Budget(0, 0))
    assert drafter.scores.score(2, 3, 4) == pytest.approx(0.08)
    assert drafter.scores.score(1, 2, 3) == 0


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("search", [True, False])
def test_says_what_plain_decoding_says(sampling, search, tmp_path):
    target = toy(8)
    (tmp_path / "toy").mkdir()
    said_by(target).save(tmp_path / "toy" / "aded.safetensors")
    plain = run_method(target, "greedy", [1, 2, 3], max_tokens=80, sampling=sampling)
    done = run_method(target, METHOD, [1, 2, 3], max_tokens=80, sampling=sampling, options={"search": search}, model="toy",
                      parts=tmp_path)
    assert done.tokens == plain.tokens
    assert done.ledger.tokens_per_forward > 2


@pytest.mark.parametrize("sampling", SAMPLINGS[:2])
def test_on_the_accelerator(session, sampling):
    target = AcceleratorTarget(session)
    plain = run_method(target, "greedy", [5, 6, 7, 5, 6], max_tokens=30, sampling=sampling)
    done = run_method(target, METHOD, [5, 6, 7, 5, 6], max_tokens=30, sampling=sampling)
    assert done.tokens == plain.tokens
    assert max(done.ledger.nodes, 1) <= target.rows * done.ledger.forwards


def test_empty_table_is_plain_decoding():
    done = run_method(toy(), METHOD, [1, 2, 3], max_tokens=40, options={"corpus": False, "adapt": False})
    assert done.ledger.tokens_per_forward == 1 and done.ledger.verify_width == 1


def test_adapts_to_a_text_that_repeats_itself():
    # Greedy decoding of the toy ends in a cycle.
    ledger = run_method(toy(), METHOD, [1, 2, 3], max_tokens=200).ledger
    early, late = ledger.emitted[:10], ledger.emitted[-10:]
    assert sum(late) > sum(early) and set(late[:-1]) == {5}


def test_chains_where_the_target_verifies_no_trees():
    target = toy()
    target.capabilities = Capability.CHAIN
    trees = []
    score = target.score
    target.score = lambda tree, *rest, **more: trees.append(tree) or score(tree, *rest, **more)
    plain = run_method(toy(), "greedy", [1, 2, 3], max_tokens=60).tokens
    assert run_method(target, METHOD, [1, 2, 3], max_tokens=60).tokens == plain
    assert all(tree.is_chain for tree in trees) and max(map(len, trees)) == 5


def test_refusals(tmp_path):
    (tmp_path / "toy").mkdir()
    corpus(vocab=12).save(tmp_path / "toy" / "aded.safetensors")
    with pytest.raises(InputError, match=r"has trigrams of 12 tokens, but target table has 5"):
        METHOD.decoder(Setup(toy(5), GREEDY, "toy", parts=tmp_path))
    with pytest.raises(InputError, match=r"depth and nodes of at least 1, a window of at least 0, not 0, 64 and 16"):
        METHOD.decoder(Setup(toy(), GREEDY), {"depth": 0})


def test_needs_no_torch():
    program = "import sys, terntable.host.decoding.methods.aded; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
