"""Trees of likely continuations from scores of pairs: by Monte Carlo tree search, or best first.

Both give continuations as lists that grow from a root: token, parent and estimate of each node, and a weight that no node has more
of than its parent.
"""

from bisect import bisect_right
from collections.abc import Sequence
from heapq import heappop, heappush
from math import log, sqrt
from random import Random
from typing import NamedTuple

from terntable.host.decoding.trigram_scores import Successors, TrigramScores

__all__ = ["Found", "Search", "best_first", "monte_carlo"]


class Found(NamedTuple):
    """A node that was found: its place among the found ones is its number, parents come first, -1 is the root."""

    parent: int
    token: int
    estimate: float
    weight: float


class Search(NamedTuple):
    """Constants of the Monte Carlo search, as ADED has them.

    Attributes
    ----------
    iterations : descents.
    c1, c2 : of the exploration factor c1 + ln((N + c2 + 1) / c2).
    kept : most visited prefixes that are kept, each of which gets its likeliest successor.
    quirk : whether a roll-out adds the score of the current token, as the released code does, not of the following one.

    """

    iterations: int = 150
    c1: float = 32.0
    c2: float = 8.0
    kept: int = 24
    quirk: bool = False


def monte_carlo(scores: TrigramScores, a: int, b: int, *, depth: int, search: Search, random: Random) -> list[Found]:
    """Most visited continuations of the pair (a, b), at most `depth` tokens long.

    A node's prior is its score. Children are visited once each in the order of their scores, then by mean value and prior. The
    value of a descent is 1 and the scores of all its tokens, those that are rolled out by chance to the full length included.
    """
    # The last token of a continuation is the likeliest successor of a prefix; it is not searched.
    levels = max(1, depth - 1)
    iterations, c1, c2, kept, quirk = search
    tokens, parents, priors, visits, means = [b], [-1], [0.0], [0], [0.0]
    # First child of each node, 0 before it is expanded, its number of children, and how many of them were visited.
    firsts, sizes, seen = [0], [0], [0]
    successors = scores.successors
    for _ in range(iterations):
        node, x, y, level, value, path = 0, a, b, 0, 1.0, [0]
        while first := firsts[node]:
            fresh = seen[node]
            if fresh < sizes[node]:
                best = first + fresh
                seen[node] = fresh + 1
            else:
                count = visits[node]
                factor = (c1 + log((count + c2 + 1) / c2)) * sqrt(count)
                best, top = first, -1.0
                for child in range(first, first + fresh):
                    if (bound := means[child] + factor * priors[child] / (1 + visits[child])) > top:
                        best, top = child, bound
            value += scores.score(x, y, y) if quirk else priors[best]
            node, x, y, level = best, y, tokens[best], level + 1
            path.append(node)
        if level < levels:
            row = successors((x, y))
            if size := len(row.tokens):
                firsts[node], sizes[node] = len(tokens), size
                tokens += row.tokens
                priors += row.scores
                parents += [node] * size
                nothing = [0] * size
                visits += nothing
                means += nothing
                firsts += nothing
                sizes += nothing
                seen += nothing
            while row.tokens:
                place = bisect_right(row.reached, random.random() * row.reached[-1], hi=len(row.tokens) - 1)
                value += scores.score(x, y, y) if quirk else row.scores[place]
                x, y, level = y, row.tokens[place], level + 1
                if level == levels:
                    break
                row = successors((x, y))
        for node in path:
            count = visits[node] = visits[node] + 1
            means[node] += (value - means[node]) / count
    # The sort is stable, and parents, which no child has more visits than, were made first.
    order = sorted(range(1, len(tokens)), key=visits.__getitem__, reverse=True)
    return _read_out([node for node in order[:kept] if visits[node]], tokens, parents, priors, visits, scores, a, depth)


def _read_out(order: Sequence[int], tokens: list[int], parents: list[int], priors: list[float], visits: list[int],
              scores: TrigramScores, a: int, depth: int) -> list[Found]:
    found: list[Found] = []
    # Searched node -> its number among the found, its depth, and what may follow it.
    places: dict[int, tuple[int, int, Successors]] = {0: (-1, 0, scores.successors((a, tokens[0])))}
    for node in order:
        parent, level, row = places[parents[node]]
        before = tokens[parents[node]]
        places[node] = len(found), level + 1, scores.successors((before, tokens[node]))
        found.append(Found(parent, tokens[node], row.share(priors[node]), visits[node]))
    held = {(one.parent, one.token) for one in found}
    for node in order:
        place, level, row = places[node]
        if level < depth and row.tokens and (place, row.tokens[0]) not in held:
            estimate = row.share(row.scores[0])
            found.append(Found(place, row.tokens[0], estimate, estimate * visits[node]))
    return found


def best_first(scores: TrigramScores, a: int, b: int, *, depth: int, nodes: int) -> list[Found]:
    """The `nodes` continuations of the pair (a, b) of greatest product of scores, at most `depth` tokens long, greatest first."""
    found: list[Found] = []
    # Falling product, then the order of discovery. Of a row only one token waits: the next likeliest one.
    waiting: list[tuple[float, int, int, float, int, int, int, Successors]] = []
    made = 0

    def wait(parent: int, level: int, product: float, before: int, row: Successors, place: int) -> None:
        nonlocal made
        if place < len(row.tokens):
            heappush(waiting, (-product * row.share(row.scores[place]), made, parent, product, level, before, place, row))
            made += 1

    wait(-1, 1, 1.0, b, scores.successors((a, b)), 0)
    while waiting and len(found) < nodes:
        weight, _, parent, product, level, before, place, row = heappop(waiting)
        token = row.tokens[place]
        found.append(Found(parent, token, row.share(row.scores[place]), -weight))
        wait(parent, level, product, before, row, place + 1)
        if level < depth:
            wait(len(found) - 1, level + 1, -weight, token, scores.successors((before, token)), 0)
    return found
