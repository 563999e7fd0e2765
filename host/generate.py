"""Token by token generation on any target."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from numpy.typing import ArrayLike
from tokenizers import Tokenizer

from terntable.host.errors import InputError
from terntable.host.rows import check_tokens
from terntable.host.sampling import GREEDY, Sampling, draw, token_law
from terntable.host.target import Counters, PassResult, Target
from terntable.host.text import StopStrings, TextStream

__all__ = ["Step", "generate", "steps"]


@dataclass(frozen=True)
class Step:
    """One new token.

    Attributes
    ----------
    token : its id.
    text : what became ready to be shown; a token may show nothing, or also what was held back before.
    finish_reason : "eos", "stop" or "length" on the last step, else None.
    counters : of the passes that led to the token: the whole prefill for the first one; empty where the token came from the same
        pass as the one before it.

    """

    token: int
    text: str
    finish_reason: str | None
    counters: Counters


def generate(target: Target, tokens: ArrayLike, *, max_tokens: int = 32, sampling: Sampling = GREEDY,
             tokenizer: Tokenizer | None = None, stop: Sequence[str] = (),
             eos: Sequence[int] = ()) -> Iterator[Step]:
    """Append tokens to a target's sequence until something ends it.

    Parameters
    ----------
    tokens : the prompt's ids, run after what the target holds already.
    max_tokens : 1 to the target's context.
    tokenizer : without one, steps have no text and stop strings are impossible.
    stop : strings that end the text; they and what follows are not shown.
    eos : tokens that end the sequence; they are counted but not shown.

    Raises
    ------
    InputError
        Before any work, in a sentence that names the value and the limit.

    """
    ids = check_tokens(tokens, target.vocab).tolist()
    if not 1 <= max_tokens <= target.context:
        raise InputError(f"max-tokens must be 1 to {target.context}, the model's context, not {max_tokens}")
    if target.length + len(ids) > target.context:
        raise InputError(f"The prompt has {len(ids)} tokens, but {target.context - target.length} of the "
                         f"context's {target.context} are free")
    # The last token needs no place in the cache.
    most = min(max_tokens, target.context - target.length - len(ids) + 1)
    return steps(_one_by_one(target, ids, sampling), most=most, prompt=ids, tokenizer=tokenizer, stop=stop, eos=eos)


def steps(source: Iterator[tuple[int, Counters]], *, most: int, prompt: Sequence[int], tokenizer: Tokenizer | None = None,
          stop: Sequence[str] = (), eos: Sequence[int] = ()) -> Iterator[Step]:
    """Steps of the tokens that a source gives, until something ends them; parameters as of :func:`generate`.

    Parameters
    ----------
    source : tokens with the counters of the passes that led to each; nothing more is asked of it after the last step.
    most : tokens after which the sequence ends.

    Raises
    ------
    InputError
        Before any work.

    """
    if stop and tokenizer is None:
        raise InputError("Stop strings need a model with a tokenizer")
    return _steps(source, most, None if tokenizer is None else TextStream(tokenizer, prompt), StopStrings(stop), set(eos))


def _steps(source: Iterator[tuple[int, Counters]], most: int, stream: TextStream | None, stops: StopStrings,
           eos: set[int]) -> Iterator[Step]:
    for count, (token, counters) in enumerate(source, start=1):
        shown, reason = "", None
        if token in eos:
            reason = "eos"
        else:
            shown = stops.feed(stream.feed(token)) if stream else ""
            if stops.stopped:
                reason = "stop"
            elif count == most:
                reason = "length"
        if reason in ("eos", "length") and stream:
            shown += stops.feed(stream.finish()) + stops.finish()
            reason = "stop" if stops.stopped else reason
        yield Step(token, shown, reason, counters)
        if reason:
            return


def _one_by_one(target: Target, ids: list[int], sampling: Sampling) -> Iterator[tuple[int, Counters]]:
    result = target.prefill(ids, logits=not sampling.greedy)
    while True:
        token = _choose(result, sampling, target.length)
        yield token, result.counters
        result = target.decode(token, logits=not sampling.greedy)


def _choose(result: PassResult, sampling: Sampling, position: int) -> int:
    if sampling.greedy:
        return int(result.best[-1])
    assert result.logits is not None
    return draw(token_law(result.logits[-1], sampling), seed=sampling.seed, position=position)
