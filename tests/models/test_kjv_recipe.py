"""Tests of terntable.models.kjv_recipe and of the checkpoint it ships."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import BitNetForCausalLM

from terntable.models.kjv_recipe import data
from terntable.models.kjv_recipe.evaluate import bits_per_byte, load_exported, windowed_bits
from terntable.models.kjv_recipe.export import export, hugging_face_names, quantised_tensors
from terntable.models.kjv_recipe.network import Network, NetworkConfig
from terntable.models.kjv_recipe.ngram import KneserNey
from terntable.models.kjv_recipe.resume import resumed_network
from terntable.models.kjv_recipe.tokenizer import train_tokenizer
from terntable.models.kjv_recipe.train import Run, RunConfig, load_network, train
from terntable.quant.checksums import verify_checksums
from terntable.quant.huggingface import read_checkpoint

SHIPPED = Path(__file__).parents[2] / "models" / "kjv"

TINY = NetworkConfig(
    vocabulary=300, hidden=32, intermediate=48, layers=2, heads=2, kv_heads=1, head_dim=16, positions=32
)

MICRO = RunConfig(
    schedule=((0, 0.0), (2, 1.0), (6, 0.0)),
    decay_until=3,
    long_from=4,
    batch_tokens=64,
    context=16,
    long_context=32,
    threads=1,
)


@pytest.fixture(autouse=True)
def subnormals():
    """Training flushes subnormals in its thread; other tests of this process need them."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(scope="module")
def books() -> dict[str, list[str]]:
    return data.load_chapters()


@pytest.fixture(scope="module")
def shipped_tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(SHIPPED / "tokenizer.json"))


def micro_run(*, config: RunConfig = MICRO) -> Run:
    tokens = np.random.default_rng(7).integers(0, TINY.vocabulary, 2000)
    return Run(config=config, network=TINY, tokens=tokens)


def assert_same_weights(left: Network, right: Network) -> None:
    for (name, a), (_, b) in zip(left.state_dict().items(), right.state_dict().items(), strict=True):
        assert torch.equal(a, b), name


def test_corpus_has_all_books_and_chapters(books: dict[str, list[str]]) -> None:
    assert len(books) == 66
    assert sum(len(chapters) for chapters in books.values()) == 1189
    assert books["Genesis"][0].startswith("In the beginning God created the heaven and the earth.\nAnd")


def test_held_out_books_are_absent_from_training(books: dict[str, list[str]]) -> None:
    training, development, held_out = data.split(books)
    assert set(held_out) == {"Ruth", "Obadiah", "James"}
    assert len(training) + len(development) + len(held_out) == 66
    seen = {verse for chapter in data.flatten(training) for verse in chapter.splitlines()}
    unseen = [verse for chapter in data.flatten(held_out) for verse in chapter.splitlines()]
    assert len(unseen) == 85 + 21 + 108
    assert not seen.intersection(unseen)
    assert "Obadiah" not in "".join(name for name in training)


def test_shipped_tokenizer_comes_from_the_training_books(
    books: dict[str, list[str]], shipped_tokenizer: Tokenizer
) -> None:
    training, _, _ = data.split(books)
    assert train_tokenizer(data.flatten(training)).to_str() == shipped_tokenizer.to_str()


def test_tokenizer_round_trip(books: dict[str, list[str]], shipped_tokenizer: Tokenizer) -> None:
    assert shipped_tokenizer.get_vocab_size() == 2048
    for text in (books["Ruth"][0], "naïve λόγος 言葉 \t\n\x00", " leading and trailing "):
        assert shipped_tokenizer.decode(shipped_tokenizer.encode(text).ids) == text
    assert shipped_tokenizer.encode("In the beginning").tokens[0] == data.BOS


def test_stream_wraps_each_chapter(books: dict[str, list[str]], shipped_tokenizer: Tokenizer) -> None:
    tokens = data.encode(shipped_tokenizer, books["Ruth"])
    bos, eos = shipped_tokenizer.token_to_id(data.BOS), shipped_tokenizer.token_to_id(data.EOS)
    assert (tokens == bos).sum() == (tokens == eos).sum() == 4
    assert tokens[0] == bos and tokens[-1] == eos
    assert shipped_tokenizer.decode(tokens.tolist()) == "".join(books["Ruth"])


def test_batches_show_every_window_once_an_epoch() -> None:
    batches = data.Batches(tokens=np.arange(16 * 9 + 1), context=16, batch=2, seed=3)
    inputs, targets = (
        np.concatenate(part) for part in zip(*(batches(step) for step in range(4)), strict=True)
    )
    assert np.array_equal(inputs + 1, targets)
    starts = np.sort(inputs[:, 0])
    assert np.array_equal(np.diff(starts), np.full(7, 16))
    assert not np.array_equal(inputs[:, 0], starts)


def test_batches_refuse_a_short_stream() -> None:
    with pytest.raises(ValueError, match="17 tokens is too short"):
        data.Batches(tokens=np.arange(17), context=16, batch=1, seed=0)


def test_same_seed_same_weights_and_other_seed_other_weights() -> None:
    runs = [micro_run(), micro_run(), micro_run(config=replace(MICRO, seed=MICRO.seed + 1))]
    losses = [[run.advance() for _ in range(3)] for run in runs]
    assert losses[0] == losses[1] != losses[2]
    assert_same_weights(runs[0].network, runs[1].network)


def test_resumed_run_equals_the_uninterrupted_one(tmp_path: Path) -> None:
    development = np.arange(40) % TINY.vocabulary
    whole = micro_run()
    train(run=whole, path=tmp_path / "whole.pt", development=development, every=2)
    train(run=micro_run(), path=tmp_path / "cut.pt", development=development, every=2, stop=3)
    resumed = micro_run()
    resumed.restore(tmp_path / "cut.pt")
    assert resumed.step == 3
    train(run=resumed, path=tmp_path / "cut.pt", development=development, every=2)
    assert_same_weights(whole.network, resumed.network)
    assert_same_weights(whole.network, load_network(tmp_path / "cut.pt"))


def test_restore_refuses_other_settings_but_accepts_another_future(tmp_path: Path) -> None:
    run = micro_run()
    for _ in range(2):
        run.advance()
    run.save(tmp_path / "run.pt")
    later = replace(MICRO, schedule=((0, 0.0), (2, 1.0), (9, 0.0)), decay_until=5)
    micro_run(config=later).restore(tmp_path / "run.pt")
    with pytest.raises(ValueError, match="other settings"):
        micro_run(config=replace(MICRO, muon_rate=0.5)).restore(tmp_path / "run.pt")


def test_rate_warms_up_and_ends_at_zero() -> None:
    rates = [MICRO.rate(step) for step in range(7)]
    assert rates == [0.5, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0]


def test_quantised_projections_depend_on_signs_and_scale_only() -> None:
    torch.manual_seed(0)
    network = Network(TINY)
    tokens = torch.randint(0, TINY.vocabulary, (1, 12))
    before = network(tokens)
    weight = network.layers[0].down.down_proj.data
    scale = weight.abs().mean()
    weight.copy_((weight / scale).round().clamp(-1, 1))
    weight.mul_(scale / weight.abs().mean())
    assert torch.allclose(network(tokens), before, rtol=0, atol=2e-3)
    assert torch.unique(weight).numel() == 3


def test_export_gives_equal_weights_and_logits_in_transformers(tmp_path: Path) -> None:
    run = micro_run()
    for _ in range(4):
        run.advance()
    network = run.network
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if not name.endswith("_proj"):
                parameter.copy_(parameter.half().float())
    export(network=network, tokenizer=SHIPPED / "tokenizer.json", directory=tmp_path)
    model = BitNetForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    loaded = model.state_dict()
    for name, latent in hugging_face_names(network).items():
        if name.endswith("_proj.weight"):
            scale = latent.abs().mean()
            assert torch.equal(loaded[name], (latent / scale).round().clamp(-1, 1)), name
            assert loaded[f"{name}_scale"].item() == scale.item(), name
        else:
            assert torch.equal(loaded[name], latent), name
    tokens = torch.from_numpy(np.random.default_rng(1).integers(0, TINY.vocabulary, (1, 32)))
    network.eval()
    with torch.no_grad():
        ours, theirs = network(tokens), model(tokens).logits
    assert (ours - theirs).abs().max() < 1e-3 * theirs.abs().max()
    assert torch.equal(ours.argmax(-1), theirs.argmax(-1))


def test_a_checkpoint_is_resumed_as_it_is(tmp_path: Path) -> None:
    """What a resumed network would export is what it was made of: all codes, and scales to a rounding of their mean."""
    resumed = quantised_tensors(resumed_network(read_checkpoint(SHIPPED)))
    for name, wanted in load_file(SHIPPED / "model.safetensors").items():
        if name.endswith("_scale"):
            assert resumed[name].item() == pytest.approx(wanted.item(), rel=1e-6), name
        else:
            assert torch.equal(resumed[name], wanted), name
    with pytest.raises(ValueError, match="tied head and relu2, not silu"):
        checkpoint = read_checkpoint(SHIPPED)
        resumed_network(replace(checkpoint, config=replace(checkpoint.config, hidden_act="silu")))


def test_training_and_evaluation_arithmetic_agree() -> None:
    torch.manual_seed(0)
    network = Network(TINY)
    tokens = torch.randint(0, TINY.vocabulary, (1, 32))
    with torch.no_grad():
        trained, evaluated = network.train()(tokens), network.eval()(tokens)
    # They differ by an ulp, which may move an activation by an INT8 step; in a network this narrow it shows.
    assert (trained - evaluated).square().mean().sqrt() < 2e-2 * evaluated.square().mean().sqrt()


def test_export_refuses_a_float_network(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="trained in float"):
        export(
            network=Network(TINY, quantised=False), tokenizer=SHIPPED / "tokenizer.json", directory=tmp_path
        )


def test_kneser_ney_is_a_distribution_and_prefers_what_it_saw() -> None:
    rng = np.random.default_rng(5)
    tokens = np.concatenate([rng.integers(0, 20, 300), np.tile([1, 2, 3, 4, 5], 40)])
    model = KneserNey(tokens=tokens, vocabulary=20, order=3)
    for history in ([7], [1, 2], [9, 19, 0, 3], [5, 1, 2, 3]):
        total = sum(model.probabilities(np.array([*history, token]))[-1] for token in range(20))
        assert total == pytest.approx(1.0, abs=1e-9)
    assert model.probabilities(np.array([1, 2, 3]))[-1] > 0.5


def test_windows_score_each_token_once_with_a_long_history() -> None:
    torch.manual_seed(0)
    network = Network(TINY)
    tokens = np.random.default_rng(2).integers(0, TINY.vocabulary, 60)
    bits = windowed_bits(network, context=32, stride=16)(tokens)
    with torch.no_grad():
        for position in (0, 31, 40, 58):
            start = 0 if position < 32 else 16 * -(-(position - 31) // 16)
            logits = network(torch.from_numpy(tokens[None, start : position + 1]))[0, -1].double()
            expected = -torch.log_softmax(logits, 0)[tokens[position + 1]] / np.log(2)
            assert bits[position] == pytest.approx(float(expected), rel=1e-2)


def test_shipped_model_predicts_held_out_text(
    books: dict[str, list[str]], shipped_tokenizer: Tokenizer
) -> None:
    figures = bits_per_byte(
        windowed_bits(load_exported(SHIPPED)), shipped_tokenizer, {"James": books["James"][:1]}
    )
    # The 5-gram baseline needs 1.65 bits per byte for this book.
    assert figures["total"] < 1.60


def test_shipped_files_are_the_listed_ones() -> None:
    assert verify_checksums(SHIPPED), "models/kjv has no SHA256SUMS"
