"""Answers of a chat model that trigrams are counted in."""

from types import SimpleNamespace

import pytest
import torch

from terntable.host.decoding.loading import CausalModel
from terntable.host.decoding.prompts import load_prompts
from terntable.host.decoding.training.answers import BATCH, answers, questions
from terntable.host.decoding.trigrams import TrigramCorpus, main
from tests.host.decoding.models import tiny


class Letters:
    """A tokenizer of letters; questions differ in length, so that shorter ones are filled up."""

    chat_template = None

    def __call__(self, text, add_special_tokens):
        return SimpleNamespace(input_ids=[3 + ord(letter) % 31 for letter in text])


@pytest.fixture
def causal(tmp_path, monkeypatch):
    monkeypatch.setenv("TERNTABLE_BUILD", str(tmp_path / "build"))
    return CausalModel("toy", tiny(max_position_embeddings=256, sharp=6.0), Letters(), None, (0, 9))


def test_no_question_is_among_the_measured_prompts():
    asked = questions()
    assert len(set(asked)) == len(asked) >= 300 and not set(asked) & {*load_prompts("open"), *load_prompts("copying")}


def test_answers_are_greedy_and_end_where_they_end(causal):
    count, ended = BATCH + 3, 0
    given = list(answers(causal, count, length=20))
    assert len(given) == count
    for question, answer in zip(questions(), given, strict=False):
        prompt = causal.chat(question)
        text = causal.model.generate(torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), max_new_tokens=20,
                                     do_sample=False, pad_token_id=0, eos_token_id=[0, 9])[0, len(prompt):].tolist()
        assert answer == text
        ended += len(answer) < 20
    assert 0 < ended < count


def test_answers_are_kept(causal):
    said = []
    first = list(answers(causal, 5, length=8, progress=said.append))
    again = CausalModel(causal.name, None, causal.tokenizer, None, causal.eos)
    assert list(answers(again, 5, length=8, progress=said.append)) == first
    assert said == ["toy answers questions 1 to 5 of 5"]


def test_the_command_counts_them(causal, tmp_path, monkeypatch):
    monkeypatch.setattr("terntable.host.decoding.loading.load_model", lambda name: causal)
    assert main(["--answers", "toy", "--questions", "2", "--out", str(tmp_path / "t")]) == 0
    table, given = TrigramCorpus.load(tmp_path / "t"), list(answers(causal, 2))
    assert table.vocab == 40
    wanted = {triple for answer in given for triple in zip(answer, answer[1:], answer[2:], strict=False)}
    assert wanted and all(table.row((a, b)).get(c, 0) > 0 for a, b, c in wanted)
