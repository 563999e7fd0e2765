"""Generation over a target of known logits, and over sessions."""

import numpy as np
import pytest

from terntable.host.errors import InputError
from terntable.host.generate import generate
from terntable.host.sampling import Sampling
from terntable.host.target import PassResult
from tests.host.tiny_checkpoint import ascii_tokenizer

TOKENIZER = ascii_tokenizer(97)


class Scripted:
    """Wants to say `text`, then tokens of `after`."""

    vocab = 97

    def __init__(self, text, after=1, context=64):
        self.script = [*TOKENIZER.encode(text, add_special_tokens=False).ids, after]
        self.length, self.context, self.said = 0, context, 0

    def prefill(self, tokens, *, logits=False):
        self.length += len(tokens)
        token = self.script[min(self.said, len(self.script) - 1)]
        self.said += 1
        values = np.zeros((1, 97), np.float32)
        values[0, token] = 50
        return PassResult(values.argmax(axis=1), None, values if logits else None, {"passes": 1})

    def decode(self, token, *, logits=False):
        return self.prefill([token], logits=logits)

    def rollback(self, length):
        self.length = length


def said(target, **options):
    """Text, number of tokens and reason of a generation after two tokens."""
    steps = list(generate(target, [0, 5], tokenizer=TOKENIZER, eos=(1,), **options))
    assert all(step.finish_reason is None for step in steps[:-1])
    return "".join(step.text for step in steps), len(steps), steps[-1].finish_reason


def test_the_end_of_sequence_ends():
    target = Scripted("light")
    assert said(target) == ("light", 6, "eos")
    assert target.length == 2 + 5, "the end token itself is not run"


@pytest.mark.parametrize("count", [1, 2, 5])
def test_max_tokens_ends(count):
    assert said(Scripted("light"), max_tokens=count) == ("light"[:count], count, "length")


def test_the_context_ends():
    target = Scripted("light, and more", context=7)
    # Five more are run, and the sixth needs no place.
    assert said(target, max_tokens=7) == ("light,", 6, "length")
    assert target.length == 7


@pytest.mark.parametrize(("stop", "wanted"), [(["gh"], ("li", 4, "stop")), (["t!", "ht"], ("lig", 5, "stop")),
                                              (["tx"], ("light", 6, "eos")), (["l"], ("", 1, "stop"))])
def test_stop_strings_end(stop, wanted):
    assert said(Scripted("light"), stop=stop) == wanted


def test_a_stop_string_that_is_begun_shows_when_the_length_ends():
    assert said(Scripted("light"), max_tokens=5, stop=["tx"]) == ("light", 5, "length")


def test_sampling_asks_for_logits():
    assert said(Scripted("light"), sampling=Sampling(temperature=1.0, seed=4)) == ("light", 6, "eos")


@pytest.mark.parametrize(("tokens", "options", "sentence"), [
    ([], {}, "at least one token"), ([97], {}, "outside the vocabulary"),
    ([5] * 65, {}, "prompt has 65 tokens, but 64 of"),
    ([5], {"max_tokens": 0}, "max-tokens must be 1 to 64, the model's context, not 0"),
    ([5], {"max_tokens": 65}, "not 65"),
    ([5], {"stop": ["x"]}, "need a model with a tokenizer"),
])
def test_impossible_requests_are_refused_before_any_work(tokens, options, sentence):
    target = Scripted("x")
    with pytest.raises(InputError, match=sentence):
        generate(target, tokens, **options)
    assert target.length == 0


def test_a_session_generates_the_same_text_again_and_other_text_for_another_seed(session):
    sampling = Sampling(temperature=1.0, seed=1)
    first = "".join(session.generate("In", 6, sampling=sampling))
    assert "".join(session.generate("In", 6, sampling=sampling)) == first and first
    assert "".join(session.generate("In", 6, sampling=Sampling(temperature=1.0, seed=2))) != first


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=1.0, seed=1)])
def test_a_session_generates_the_same_text_by_a_method(session, sampling):
    plain = "".join(session.generate("In In In", 12, sampling=sampling))
    assert "".join(session.generate("In In In", 12, method="prompt-lookup:ngram=1", sampling=sampling)) == plain
    stopped = "".join(session.generate("In In In", 12, method="aded", sampling=sampling, stop=[plain[4:6]]))
    assert stopped == plain[:plain.index(plain[4:6])]
    with pytest.raises(InputError, match="Unknown method 'fast'"):
        next(session.generate("In", method="fast"))


def test_greedy_generation_of_a_session_follows_its_logits(session):
    steps = list(generate(session, [0, 40, 41], max_tokens=4))
    session.rollback(0)
    tokens = [0, 40, 41]
    for step in steps:
        session.rollback(0)
        tokens.append(int(session.prefill(tokens, logits=True).logits[0].argmax()))
        assert step.token == tokens[-1]
