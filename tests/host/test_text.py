"""Streams of text: whole characters, exact stops."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from terntable.host.errors import InputError
from terntable.host.text import StopStrings, TextStream, encode_prompt, load_tokenizer
from tests.host.tiny_checkpoint import ascii_tokenizer


@pytest.fixture(scope="module")
def by_bytes():
    """A tokenizer with a token for each byte."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: n for n, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


@pytest.mark.parametrize("text", ["plain", "naïve — “quoted” 🙂 çà", "🙂", " leading", "e\u0301"])
def test_pieces_are_whole_characters_and_make_the_text(by_bytes, text):
    stream = TextStream(by_bytes, by_bytes.encode("before ").ids)
    pieces = [stream.feed(token) for token in by_bytes.encode(text).ids]
    assert "".join(pieces) + stream.finish() == text
    assert [piece for piece in pieces if piece] == list(text)


def test_a_torn_character_shows_at_the_end_or_when_it_is_over(by_bytes):
    stream = TextStream(by_bytes)
    ids = by_bytes.encode("🙂").ids
    assert [stream.feed(token) for token in ids[:3]] == ["", "", ""]
    assert stream.finish() == "\ufffd" and stream.finish() == ""
    stream = TextStream(by_bytes)
    assert [stream.feed(token) for token in [*ids[:2], *by_bytes.encode("ab").ids]] == ["", "", "\ufffda",
                                                                                        "b"]


def cut(stops, pieces):
    """What is shown of pieces, and whether a stop string ended them."""
    filter = StopStrings(stops)
    shown = "".join(filter.feed(piece) for piece in pieces)
    return (shown if filter.stopped else shown + filter.finish()), filter.stopped


@pytest.mark.parametrize(("stops", "text", "wanted"), [
    (["."], "one. two.", ("one", True)), (["and"], "an and", ("an ", True)), (["aab"], "aaab", ("a", True)),
    (["xyz"], "xy", ("xy", False)), ([], "abc", ("abc", False)), (["abc", "b"], "abc", ("a", True)),
    (["bc", "abc"], "xabc", ("x", True)), (["🙂"], "a🙂b", ("a", True)),
])
def test_stop_strings_cut_exactly_however_the_text_comes(stops, text, wanted):
    for size in range(1, len(text) + 1):
        assert cut(stops, [text[n:n + size] for n in range(0, len(text), size)]) == wanted


def test_text_that_no_stop_can_begin_with_is_shown_at_once():
    filter = StopStrings(["stop"])
    assert [filter.feed(piece) for piece in ("a", "s", "t", "x", "st")] == ["a", "", "", "stx", ""]


def test_prompts():
    tokenizer = ascii_tokenizer(97)
    assert encode_prompt(tokenizer, "!a", 0) == [0, 3, 67]
    assert encode_prompt(tokenizer, "!", None) == [3]
    with pytest.raises(InputError, match="prompt '' has no tokens"):
        encode_prompt(tokenizer, "", 0)


@pytest.mark.parametrize(("call", "sentence"), [
    (lambda: load_tokenizer(b""), "has no tokenizer"),
    (lambda: load_tokenizer(b"{"), "tokenizer.json is malformed"),
    (lambda: encode_prompt(ascii_tokenizer(97), "a\udcff", 0), "valid Unicode, but character 1 of 'a"),
    (lambda: StopStrings([""]), "stop string is empty"),
])
def test_what_is_malformed_is_refused(call, sentence):
    with pytest.raises(InputError, match=sentence):
        call()
