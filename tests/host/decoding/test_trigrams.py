import numpy as np
import pytest

from terntable.host.decoding.parts import SHIPPED_PARTS
from terntable.host.decoding.trigram_scores import TrigramScores
from terntable.host.decoding.trigrams import TrigramCorpus, main
from terntable.host.errors import InputError

TEXTS = [[1, 2, 3, 1, 2, 3, 1, 2, 4], [1, 2], [1, 2, 4, 9], []]


def test_counts_each_text_by_itself():
    table = TrigramCorpus.count(TEXTS, 10)
    assert table.row((1, 2)) == {3: 2 / 4, 4: 2 / 4}
    assert table.row((2, 3)) == {1: 1.0}
    assert table.row((4, 1)) == {}


def test_rows_sum_to_one_and_keep_the_likeliest():
    text = np.random.default_rng(0).zipf(1.3, 20000) % 40
    whole, cut = TrigramCorpus.count([text], 40, kept=40), TrigramCorpus.count([text], 40, least=2)
    totals = dict(zip(map(tuple, whole.pairs.tolist()), whole.totals.tolist(), strict=True))
    for pair in map(tuple, cut.pairs.tolist()):
        row, kept = whole.row(pair), cut.row(pair)
        assert sum(row.values()) == pytest.approx(1)
        best = sorted((token for token in row if row[token] * totals[pair] > 1.5), key=lambda token: (-row[token], token))[:12]
        assert list(kept) == best
        assert all(kept[token] == pytest.approx(row[token]) for token in kept)


def test_file(tmp_path):
    table = TrigramCorpus.count(TEXTS, 10)
    table.save(tmp_path / "a.safetensors")
    again = TrigramCorpus.load(tmp_path / "a.safetensors")
    assert again.vocab == 10 and again.row((1, 2)) == table.row((1, 2))
    (tmp_path / "b.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
    with pytest.raises(InputError, match=r"b.safetensors is not a table of trigrams"):
        TrigramCorpus.load(tmp_path / "b.safetensors")


def test_command_counts_files(tmp_path, checkpoint, capsys):
    (tmp_path / "text").write_text("abcabc")
    assert main([str(tmp_path / "text"), "--tokenizer", str(checkpoint / "tokenizer.json"), "--out", str(tmp_path / "t")]) == 0
    assert len(TrigramCorpus.load(tmp_path / "t")) == 3
    assert "3 triples after 3 pairs" in capsys.readouterr().err


def test_shipped_table_is_of_the_training_books(tmp_path):
    shipped = SHIPPED_PARTS / "kjv" / "aded.safetensors"
    assert shipped.stat().st_size <= 1_500_000
    tokenizer = SHIPPED_PARTS.parents[2] / "models" / "kjv" / "tokenizer.json"
    main(["--tokenizer", str(tokenizer), "--least", "2", "--out", str(tmp_path / "t")])
    assert (tmp_path / "t").read_bytes() == shipped.read_bytes()


def test_each_occurrence_adds_a_step_up_to_the_cap():
    scores = TrigramScores(TrigramCorpus.count(TEXTS, 10))
    scores.adapt([1, 2, 3, 1, 2, 3, 8])
    assert scores.score(1, 2, 3) == pytest.approx(0.5 + 2 * 0.04)
    assert scores.score(1, 2, 4) == 0.5
    assert scores.score(2, 3, 8) == pytest.approx(0.04)
    for _ in range(100):
        scores.adapt([1, 2, 3])
    assert scores.score(1, 2, 3) == 3.0
    assert scores.successors((1, 2)).tokens == [3, 4]


def test_corpus_is_never_changed():
    corpus = TrigramCorpus.count(TEXTS, 10)
    TrigramScores(corpus).adapt([1, 2, 4])
    assert TrigramScores(corpus).score(1, 2, 4) == 0.5


def test_successors_follow_what_was_added():
    scores = TrigramScores(TrigramCorpus.count(TEXTS, 10))
    assert scores.successors((1, 2)).tokens == [3, 4]
    scores.adapt([1, 2, 4])
    found = scores.successors((1, 2))
    assert found.tokens == [4, 3] and found.scores == pytest.approx([0.54, 0.5]) and found.reached[-1] == pytest.approx(1.04)
    assert found.share(0.52) == pytest.approx(0.5)
    assert scores.successors((7, 7)).tokens == []
