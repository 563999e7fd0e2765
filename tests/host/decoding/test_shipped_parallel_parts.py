"""The shipped parts of DEER, GAD and ASSD know their text."""

import numpy as np
import pytest
from tokenizers import Tokenizer

from terntable.host.decoding import infill
from terntable.host.decoding.any_order import log_likelihood
from terntable.host.decoding.masked_drafter import load_masked
from terntable.host.decoding.parts import load_part
from terntable.host.decoding.two_stream import load_any_order
from terntable.host.models import find_model

#: Of a book that was held out.
VERSE = "And she said, Let me find favour in thy sight, my lord; for that thou hast comforted me, and spoken friendly unto me.\n"


@pytest.fixture(scope="module")
def tokenizer():
    """Of the model."""
    return Tokenizer.from_file(str(find_model("kjv") / "tokenizer.json"))


@pytest.fixture(scope="module")
def verse(tokenizer):
    """Its tokens."""
    return tokenizer.encode(VERSE, add_special_tokens=False).ids


@pytest.mark.parametrize(("name", "ends"), [("deer", True), ("gad", False)])
def test_drafters_go_on_with_what_repeats(name, ends, tokenizer):
    recipe, tensors = load_part(name, "kjv", name)
    model = load_masked(recipe["config"], tensors)
    assert model.ends == ends and recipe["config"]["vocab"] == 2048
    whole = tokenizer.encode("And he said unto them" + ", and the gates of the sea" * 8, add_special_tokens=False).ids
    guessed = model.marginals(whole[:-6], 6).argmax(axis=1)
    assert (guessed == whole[-6:]).sum() >= 4


def test_the_any_order_model_fills_in_a_verse(verse):
    model, gaps = load_any_order("kjv"), list(range(1, len(verse), 2))
    assert -log_likelihood(model, verse, gaps) / len(gaps) < np.log(2048) - 2.5
    text = [None if place in gaps else token for place, token in enumerate(verse)]
    done = infill(model, text)
    assert done.tokens[::2] == verse[::2] and done.calls < len(gaps)
