"""The one verify loop: propose, score, walk, commit, observe."""

from collections.abc import Collection, Iterator, Sequence

from terntable.host.decoding.controllers import Constant, Controller
from terntable.host.decoding.drafter import Budget, Drafter, Outcome
from terntable.host.decoding.ledger import Ledger
from terntable.host.decoding.rules import Rule
from terntable.host.decoding.scores import Scores
from terntable.host.decoding.target import DecodingTarget
from terntable.host.decoding.tree import DraftTree
from terntable.host.errors import InputError
from terntable.host.rows import check_tokens
from terntable.host.sampling import GREEDY, Sampling
from terntable.host.target import add_counters

__all__ = ["check_request", "decode", "walk"]


def walk(tree: DraftTree, scores: Scores, rule: Rule, sampling: Sampling, *, length: int, room: int,
         eos: Collection[int]) -> tuple[list[int], list[int]]:
    """Nodes that the rule leads through, the root first, and the tokens that it emits, at most `room` of them.

    `length` tokens are known, the root included. The walk ends with a token that no child has, or that ends the sequence.
    """
    path: list[int] = [0]
    tokens: list[int] = []
    while True:
        token = rule.choose(tree, path[-1], scores, sampling, length + len(tokens))
        tokens.append(token)
        child = tree.child(path[-1], token)
        if child is None or token in eos or len(tokens) == room:
            return path, tokens
        path.append(child)


def check_request(target: DecodingTarget, prompt: Sequence[int], max_tokens: int) -> list[int]:
    """The token ids of a prompt; InputError for a token outside the vocabulary, and for what the context does not hold."""
    ids = check_tokens(prompt, target.vocab).tolist()
    if not 1 <= max_tokens <= target.context:
        raise InputError(f"max-tokens must be 1 to {target.context}, the model's context, not {max_tokens}")
    if len(ids) > target.context:
        raise InputError(f"The prompt has {len(ids)} tokens, but the context holds {target.context}")
    return ids


def decode(target: DecodingTarget, prompt: Sequence[int], *, drafter: Drafter, rule: Rule, controller: Controller | None = None,
           sampling: Sampling = GREEDY, max_tokens: int = 32, eos: Collection[int] = (),
           ledger: Ledger | None = None) -> Iterator[Outcome]:
    """Rounds of tokens that follow a prompt in a fresh sequence, until the end of text or `max_tokens`.

    Nothing runs before the first round is asked for, but what is wrong with the arguments is said at once.

    Raises
    ------
    InputError
        A token outside the vocabulary, or a prompt that the context does not hold.

    """
    ids = check_request(target, prompt, max_tokens)
    # The last token needs no place in the cache.
    most = min(max_tokens, target.context - len(ids) + 1)
    return _rounds(target, ids, drafter, rule, controller or Constant(), sampling, most, frozenset(eos),
                   ledger if ledger is not None else Ledger())


def _rounds(target: DecodingTarget, known: list[int], drafter: Drafter, rule: Rule, controller: Controller, sampling: Sampling,
            most: int, eos: frozenset[int], ledger: Ledger) -> Iterator[Outcome]:
    target.rollback(0)
    ledger.prompt = len(known)
    with ledger.timed("draft"):
        drafter.start(known, sampling, ledger)
    prefix, left = known[:-1], most
    while True:
        length = len(known)
        limits = Budget(nodes=min(target.rows, target.context - length + 1) - 1, depth=left - 1)
        with ledger.timed("core"):
            budget = controller.plan(limits)
        with ledger.timed("draft"):
            tree = drafter.propose(known, budget)
        with ledger.timed("core"):
            assert tree.tokens[0] == known[-1]
            tree = controller.cut(tree, budget)
            if len(tree) > limits.nodes + 1:
                raise InputError(f"The drafter made a tree of {len(tree)} nodes, but target {target.name} has room for "
                                 f"{limits.nodes + 1}")
            if wrong := [token for token in tree.tokens if not 0 <= token < target.vocab]:
                raise InputError(f"The drafter proposed token {wrong[0]}, outside the vocabulary of target {target.name}, 0 to "
                                 f"{target.vocab - 1}")
        with ledger.timed("target"):
            scores = target.score(tree, prefix, logits=not sampling.greedy or drafter.counts_logits or not rule.lossless,
                                  hidden=drafter.hidden)
        with ledger.timed("core"):
            path, tokens = walk(tree, scores, rule, sampling, length=length, room=left, eos=eos)
        with ledger.timed("target"):
            counters = add_counters(scores.counters, target.commit(path))
        with ledger.timed("core"):
            ledger.round(nodes=len(tree), depths=[tree.depths[node] for node in range(1, len(tree)) if node not in tree.probes],
                         emitted=len(tokens), accepted=len(path) - 1, counters=counters)
            known += tokens
            outcome = Outcome(tree, len(prefix), path, tokens, scores, length, counters)
            controller.observe(outcome, ledger)
        left -= len(tokens)
        done = not left or tokens[-1] in eos
        if not done:
            with ledger.timed("draft"):
                drafter.observe(outcome)
        yield outcome
        if done:
            return
        prefix = []
