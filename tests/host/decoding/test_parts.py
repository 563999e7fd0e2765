"""Trained parts: what was made of a file is kept while the file stays as it is."""

import os

import pytest

from terntable.host.decoding.draft_model import small_model
from terntable.host.decoding.method import Setup
from terntable.host.decoding.parts import kept
from terntable.host.decoding.torch_target import TorchTarget
from terntable.host.errors import InputError
from terntable.host.sampling import GREEDY
from tests.host.decoding.models import tiny


def test_it_is_made_anew_for_another_file_key_or_time(tmp_path):
    made = []

    def make():
        made.append(object())
        return made[-1]

    one, other = tmp_path / "one", tmp_path / "other"
    for file in (one, other):
        file.write_text("")
    first = kept(one, make, "cpu")
    assert kept(one, make, "cpu") is first and kept(other, make, "cpu") is not first and kept(one, make, "cuda") is not first
    os.utime(one, (1, 1))
    assert kept(one, make, "cpu") is not first and len(made) == 4
    assert kept(None, make) is not kept(None, make)


def test_a_draft_model_is_built_once():
    target = TorchTarget(tiny(vocab_size=2048))
    one, other = (small_model("speculative", Setup(target, GREEDY, "kjv"), "", "draft")[0] for _ in range(2))
    assert one is other
    with pytest.raises(InputError, match="needs the trained part none for the model, but there is none for kjv"):
        small_model("speculative", Setup(target, GREEDY, "kjv"), "", "none")
