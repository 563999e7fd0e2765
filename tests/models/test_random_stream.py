"""Random weights in the engine's layout: zero padding, the stated distributions, keys, and activations that stay realistic."""

import dataclasses
import hashlib

import numpy as np
import pytest
import torch

from terntable.hw.spec.config import PRESETS, preset
from terntable.hw.spec.layout import embed_stride, gamma_words, head_words, matmul_words, shortlist_words
from terntable.models import random_stream
from terntable.models.random_stream import (
    fill_embedding,
    fill_gamma,
    fill_head,
    fill_matrix,
    fill_shortlist,
    item_key,
    layer_scales,
)
from terntable.models.shapes import Geometry
from terntable.quant.beats import BeatGeometry, pack_matrix, unpack_matrix
from tests.models import one_bit_llm

NANO = preset("nano")


def dirty(size):
    """Space for `size` bytes in which nothing is zero."""
    return np.full(size, 0xA5, np.uint8)


def matrix(outputs, inputs, config=NANO, key=1):
    out = dirty(matmul_words(inputs, outputs, config) * config.word_bytes)
    fill_matrix(out, outputs, inputs, config, key)
    return out


def head(hidden, vocab, config=NANO, key=1):
    """Weights (padded vocab, padded hidden) and scales (padded vocab), read as the layout is worded."""
    out = dirty(head_words(hidden, vocab, config) * config.word_bytes)
    fill_head(out, hidden, vocab, config, key)
    block, size, at = config.beat_bytes, config.beat_bytes, 0
    rows, scales = [], []
    while at < out.size:
        scales.append(out[at:at + 4 * block].view(np.float32))
        at += 4 * block
        words = []
        for _ in range(-(-hidden // size)):
            words.append(out[at:at + block * size].view(np.int8).reshape(block, size))
            at += block * size
        rows.append(np.concatenate(words, axis=1))
    return np.concatenate(rows), np.concatenate(scales)


def embedding(hidden, vocab, config=NANO, key=1):
    out = dirty(vocab * embed_stride(hidden, config))
    fill_embedding(out, hidden, vocab, config, key)
    return out.view(np.float16).reshape(vocab, -1)


def slow_trits(out, outputs, inputs, config):
    """Trits by place and of all padding, as the order is worded: blocks, tiles, groups of outputs, one cell each."""
    words = out.reshape(-1, config.word_bytes).tolist()
    lanes = [[byte // 3**i % 3 - 1 for word in words for byte in (word[lane],) for i in range(5)]
             for lane in range(config.word_bytes)]
    codes, padding, cell = np.full((outputs, inputs), 9, np.int8), [], 0
    for n0 in range(0, outputs, config.block_outputs):
        for k0 in range(0, inputs, config.tile_inputs):
            for group in range(n0, min(n0 + config.block_outputs, outputs), config.outputs):
                for r in range(config.outputs):
                    for t in range(config.groups):
                        for i in range(3):
                            trit, k = lanes[r * config.groups + t][3 * cell + i], k0 + 3 * t + i
                            if k < inputs:
                                codes[group + r, k] = trit
                            else:
                                padding.append(trit)
                cell += 1
    for lane in lanes:
        padding += lane[3 * cell:]
    return codes, padding


MATRICES = pytest.mark.parametrize(("config", "outputs", "inputs"), [
    (NANO, 16, 24), (NANO, 40, 50), (NANO, 4, 1), (NANO, 36, 72), (NANO, 20, 25), (preset("tiny"), 136, 37),
    (preset("kv260"), 520, 100),
])


@MATRICES
def test_padding_is_zero_and_the_rest_is_not(config, outputs, inputs):
    out = matrix(outputs, inputs, config)
    assert out.max() < 243
    codes, padding = slow_trits(out, outputs, inputs, config)
    assert not any(padding) and set(np.unique(codes)) <= {-1, 0, 1}
    if codes.size > 100:
        # No row and no column was cleared by mistake.
        assert np.abs(codes).mean() == pytest.approx(2 / 3, abs=0.1)
        assert codes.any(axis=1).all() and (outputs < 16 or codes.any(axis=0).all())


@MATRICES
def test_the_engines_packer_reads_and_writes_the_same(config, outputs, inputs):
    out = matrix(outputs, inputs, config)
    codes, _ = slow_trits(out, outputs, inputs, config)
    geometry = BeatGeometry(word_bytes=config.word_bytes, outputs=config.outputs, block_outputs=config.block_outputs)
    words = out.reshape(-1, config.word_bytes)
    np.testing.assert_array_equal(unpack_matrix(words, outputs, inputs, geometry), codes)
    np.testing.assert_array_equal(pack_matrix(codes, geometry)[0], words)


def test_trits_are_uniform_and_independent():
    config = preset("kv260")
    out = matrix(512, 480, config)
    counts = np.bincount(out, minlength=243)
    assert len(counts) == 243 and counts.sum() == out.size
    expected = out.size / 243
    # Chi-square of 242 degrees of freedom lies within 242 +- 6 x 22.
    assert 110 < ((counts - expected) ** 2 / expected).sum() < 374
    codes, _ = slow_trits(out, 512, 480, config)
    for shift in (1, 3, 5, 48):
        assert abs((codes[:, shift:].astype(float) * codes[:, :-shift]).mean()) < 0.01
    assert abs((codes[8:].astype(float) * codes[:-8]).mean()) < 0.01


@pytest.mark.parametrize("config", PRESETS.values(), ids=PRESETS)
def test_norm_weights(config):
    out = dirty(gamma_words(35, config) * config.word_bytes)
    fill_gamma(out, 35, config, 1)
    values = out.view(np.float32)
    assert not values[35:].any()
    assert (np.abs(values[:35] - 1) < 0.5).all() and 0.04 < values[:35].std() < 0.2


@pytest.mark.parametrize(("hidden", "vocab"), [(32, 32), (33, 47), (15, 5), (16, 17), (100, 64)])
def test_head(hidden, vocab):
    rows, scales = head(hidden, vocab)
    assert rows.shape == (-(-vocab // 16) * 16, -(-hidden // 16) * 16)
    assert not rows[vocab:].any() and not rows[:, hidden:].any() and not scales[vocab:].any()
    inside = rows[:vocab, :hidden].astype(int)
    assert inside.min() >= -127 and inside.any(axis=0).all() and inside.any(axis=1).all()
    assert (scales[:vocab] > 0).all() and (vocab < 8 or len(set(scales[:vocab].tolist())) > vocab // 2)


def test_head_rows_are_uniform():
    rows, scales = head(1024, 512, preset("kv260"))
    counts = np.bincount(rows.ravel().astype(int) + 128, minlength=256)
    assert counts[0] == 0
    assert np.abs(counts[1:] * 255 / rows.size - 1).max() < 0.15
    logits = (rows * scales[:, None].astype(float)) @ np.random.default_rng(0).standard_normal(1024)
    assert logits.std() == pytest.approx(2, rel=0.15)


@pytest.mark.parametrize(("hidden", "vocab"), [(24, 16), (50, 39)])
def test_shortlist(hidden, vocab):
    """The matrix of the vocabulary, filled up for the engine, with a scale for each row behind it."""
    out = dirty(shortlist_words(hidden, vocab, NANO) * NANO.word_bytes)
    fill_shortlist(out, hidden, vocab, NANO, 5)
    outputs = -(-vocab // NANO.outputs) * NANO.outputs
    size = matmul_words(hidden, outputs, NANO) * NANO.word_bytes
    np.testing.assert_array_equal(out[:size], matrix(outputs, hidden, key=5))
    scales = out[size:].view(np.float32)
    assert len(scales) >= outputs and not scales[vocab:].any()
    assert (np.abs(scales[:vocab] - 1) <= 0.2).all() and len(set(scales[:vocab].tolist())) > vocab // 2


@pytest.mark.parametrize(("hidden", "vocab"), [(32, 5), (13, 40)])
def test_embedding(hidden, vocab):
    table = embedding(hidden, vocab)
    assert not table[:, hidden:].any() and table[:, :hidden].any(axis=1).all()


def test_embedding_is_normal():
    values = embedding(4096, 128).astype(float)
    assert values.mean() == pytest.approx(0, abs=0.01) and values.std() == pytest.approx(1, rel=0.01)
    assert [(np.abs(values) < limit).mean() for limit in (1, 2, 3)] == pytest.approx([0.683, 0.954, 0.997], abs=0.01)


def test_a_key_is_a_matrix():
    """Equal keys give equal bytes, and neither other items nor the size of a draw plays a part."""
    keys = [item_key(seed, part, layer) for seed in (0, 1, 2**64 - 1) for part in random_stream.PARTS for layer in (0, 1, 29)]
    assert len(set(keys)) == len(keys) and max(keys) < 2**128
    digests = {hashlib.sha256(matrix(16, 24, key=key)).hexdigest() for key in keys}
    assert len(digests) == len(keys)
    np.testing.assert_array_equal(matrix(16, 24, key=keys[5]), matrix(16, 24, key=keys[5]))


@pytest.mark.parametrize("chunk", [64, 4096])
def test_the_size_of_a_draw_changes_nothing(monkeypatch, chunk):
    before = matrix(64, 100), head(100, 40), embedding(13, 40)
    monkeypatch.setattr(random_stream, "_CHUNK", chunk)
    for ours, theirs in zip((matrix(64, 100), head(100, 40), embedding(13, 40)), before, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_bytes_are_these_for_good():
    """Recorded runs name a seed, so it must mean the same bytes later."""
    gamma = dirty(gamma_words(48, NANO) * NANO.word_bytes)
    fill_gamma(gamma, 48, NANO, item_key(7, "o", 3))
    rows, scales = head(33, 47, key=item_key(7, "head"))
    scale = layer_scales(SMALL, 5, 7)["down"]
    parts = (matrix(40, 50, key=item_key(7, "qkv", 2)), gamma, rows, scales, embedding(13, 9), np.float32(scale))
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()
    assert digest == "b003a81150bdf423ab3e6c5f669ebee64d91f94b1ec040987085772a12e39466"


def test_a_memory_map_is_filled_in_place(tmp_path):
    size = matmul_words(50, 40, NANO) * NANO.word_bytes
    mapped = np.memmap(tmp_path / "stream", np.uint8, "w+", shape=(3 * size,))
    fill_matrix(mapped[size:2 * size], 40, 50, NANO, 1)
    mapped.flush()
    stored = np.fromfile(tmp_path / "stream", np.uint8)
    np.testing.assert_array_equal(stored[size:2 * size], matrix(40, 50))
    assert not stored[:size].any() and not stored[2 * size:].any()


@pytest.mark.parametrize(("call", "sentence"), [
    (lambda: fill_matrix(dirty(96), 6, 24, NANO, 0), "the matrix has 6 outputs, but preset nano needs a multiple of 4"),
    (lambda: fill_matrix(dirty(95), 16, 24, NANO, 0), r"matrix of 16 x 24 takes \d+ adjacent bytes, but the space is uint8"),
    (lambda: fill_matrix(dirty(192)[::2], 16, 24, NANO, 0), "a matrix of 16 x 24 takes"),
    (lambda: fill_gamma(np.zeros(64), 48, NANO, 0), r"a norm of 48 columns takes \d+ adjacent bytes, but the space is"),
    (lambda: fill_head(dirty(7), 24, 47, NANO, 0), "a head of 47 x 24 takes"),
    (lambda: fill_shortlist(dirty(7), 24, 47, NANO, 0), "a shortlist of 47 x 24 takes"),
    (lambda: fill_embedding(dirty(7), 24, 47, NANO, 0), "an embedding of 47 x 24 takes"),
    (lambda: item_key(-1, "o"), r"seed is -1, but must be from 0 to 2\*\*64 - 1"),
    (lambda: item_key(2**64, "o"), "seed is 18446744073709551616, but must be"),
    (lambda: item_key(0, "o", 2**32), "layer is 4294967296, but must be"),
    (lambda: item_key(0, "bias"), "part is 'bias', but must be one of input_norm, qkv, "),
])
def test_refusals(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


SMALL = Geometry(hidden=96, intermediate=160, layers=30, heads=4, kv_heads=2, head_dim=24, vocab=64, act="silu", context=64)


@pytest.mark.parametrize("act", ["silu", "relu2"])
def test_activations_stay_realistic_through_thirty_layers(act):
    """The float reference on these weights: finite, of the stated spread, and different from token to token."""
    shape = dataclasses.replace(SMALL, act=act)
    config, hidden, inner = NANO, shape.hidden, shape.intermediate
    geometry = BeatGeometry(word_bytes=config.word_bytes, outputs=config.outputs, block_outputs=config.block_outputs)
    wide = shape.head_dim * shape.heads
    tensors = {"model.embed_tokens.weight": embedding(hidden, shape.vocab, key=item_key(1, "embedding"))[:, :hidden]}

    def gamma(part, columns, layer):
        out = dirty(gamma_words(columns, config) * config.word_bytes)
        fill_gamma(out, columns, config, item_key(1, part, layer))
        return out.view(np.float32)[:columns]

    def codes(part, outputs, inputs, layer):
        out = matrix(outputs, inputs, key=item_key(1, part, layer)).reshape(-1, config.word_bytes)
        return unpack_matrix(out, outputs, inputs, geometry)

    for layer in range(shape.layers):
        prefix, scales = f"model.layers.{layer}.", layer_scales(shape, layer, 1)
        assert all(scale == np.float32(scale) > 0 for scale in scales.values())
        q, k, v = np.split(codes("qkv", shape.qkv, hidden, layer), (wide, wide + shape.kv_heads * shape.head_dim))
        gate, up = np.split(codes("gate_up", 2 * inner, hidden, layer), 2)
        weights = {"self_attn.q": q, "self_attn.k": k, "self_attn.v": v, "self_attn.o": codes("o", hidden, hidden, layer),
                   "mlp.gate": gate, "mlp.up": up, "mlp.down": codes("down", hidden, inner, layer)}
        for name, values in weights.items():
            # Latent weights whose mean magnitude is the scale.
            tensors[f"{prefix}{name}_proj.weight"] = values * scales[name.split(".")[1]] / np.abs(values).mean()
        for part, name, columns in (("input_norm", "input_layernorm", hidden), ("post_norm", "post_attention_layernorm", hidden),
                                    ("attn_sub_norm", "self_attn.inner_attn_ln", hidden),
                                    ("ffn_sub_norm", "mlp.ffn_layernorm", inner)):
            tensors[f"{prefix}{name}.weight"] = gamma(part, columns, layer)
    tensors["model.norm.weight"] = gamma("final_norm", hidden, 0)
    rows, scales = head(hidden, shape.vocab, key=item_key(1, "head"))
    tensors["lm_head.weight"] = rows[:, :hidden] * scales[:, None]
    values = {"rms_norm_eps": shape.eps, "num_attention_heads": shape.heads, "num_key_value_heads": shape.kv_heads,
              "hidden_size": hidden, "num_hidden_layers": shape.layers, "hidden_act": act, "rope_theta": shape.theta,
              "tie_word_embeddings": False}
    logits = one_bit_llm.logits({name: torch.tensor(np.asarray(array, np.float32)) for name, array in tensors.items()}, values,
                                list(range(16)))
    assert torch.isfinite(logits).all() and 1 < logits.std() < 4
    assert len(set(logits.argmax(1).tolist())) > 3
