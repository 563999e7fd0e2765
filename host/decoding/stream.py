"""A method's tokens as a stream of steps, as plain generation gives them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tokenizers import Tokenizer

from terntable.host.decoding.controllers import Controller
from terntable.host.decoding.ledger import Ledger
from terntable.host.decoding.loop import decode
from terntable.host.decoding.method import Method, Setup
from terntable.host.decoding.target import DecodingTarget
from terntable.host.generate import Step, steps
from terntable.host.sampling import GREEDY, Sampling
from terntable.host.target import Counters

__all__ = ["stream_method"]


def stream_method(target: DecodingTarget, method: Method, prompt: Sequence[int], *, options: Mapping[str, Any] | None = None,
                  max_tokens: int = 32, sampling: Sampling = GREEDY, tokenizer: Tokenizer | None = None, stop: Sequence[str] = (),
                  eos: Sequence[int] = (), model: str | None = None, controller: Controller | None = None,
                  ledger: Ledger | None = None) -> Iterator[Step]:
    """Steps of new tokens after a prompt in a fresh sequence, each round's as soon as it is done.

    Parameters
    ----------
    options, model, controller : of the method, see :func:`terntable.host.decoding.generation.run_method`.
    tokenizer, stop : see :func:`terntable.host.generate.generate`.
    ledger : is filled as the rounds go by.

    Raises
    ------
    InputError
        Before any work.

    """
    decoder = method.decoder(Setup(target, sampling, model, tuple(prompt), tokenizer), options)
    rounds = decode(target, prompt, drafter=decoder.drafter, rule=decoder.rule, controller=controller or decoder.controller,
                    sampling=sampling, max_tokens=max_tokens, eos=eos, ledger=ledger)
    most = min(max_tokens, target.context - len(prompt) + 1)
    return steps(_tokens(rounds), most=most, prompt=prompt, tokenizer=tokenizer, stop=stop, eos=eos)


def _tokens(rounds: Iterator[Any]) -> Iterator[tuple[int, Counters]]:
    for outcome in rounds:
        counters = outcome.counters
        for token in outcome.tokens:
            yield token, counters
            counters = {}
