"""The reader of Hugging Face directories against transformers and across layouts."""

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import load_file as torch_load
from safetensors.torch import save_file as torch_save
from transformers import BitNetConfig as TransformersConfig
from transformers import BitNetForCausalLM
from transformers.integrations.bitnet import pack_weights, unpack_weights

from terntable.quant.huggingface import read_checkpoint, read_config, unpack_rows
from terntable.quant.int8 import absmax_int8
from tests.quant import tiny_bitnet

Q = "model.layers.0.self_attn.q_proj"
FIELDS = {"q": "self_attn.q_proj", "k": "self_attn.k_proj", "v": "self_attn.v_proj", "o": "self_attn.o_proj",
          "gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj"}
NORM_FIELDS = {"input_norm": "input_layernorm", "attn_sub_norm": "self_attn.attn_sub_norm",
               "post_norm": "post_attention_layernorm", "ffn_sub_norm": "mlp.ffn_sub_norm"}


@pytest.fixture(autouse=True)
def eager():
    """Run transformers' compiled functions uncompiled: the same arithmetic, without a compiler run."""
    with torch.compiler.set_stance("force_eager"):
        yield


def matrices(checkpoint):
    """All matrices of a checkpoint with their names in the file."""
    for index, layer in enumerate(checkpoint.layers):
        for field, name in FIELDS.items():
            yield f"model.layers.{index}.{name}", getattr(layer, field)


def assert_same(one, other):
    """Assert that two checkpoints hold the same bits, whatever their configuration says."""
    for (name, a), (_, b) in zip(matrices(one), matrices(other), strict=True):
        np.testing.assert_array_equal(a.codes, b.codes, err_msg=name)
        assert a.scale == b.scale, name
    for a, b in zip(one.layers, other.layers, strict=True):
        for field in NORM_FIELDS:
            np.testing.assert_array_equal(getattr(a, field), getattr(b, field))
    np.testing.assert_array_equal(one.embedding, other.embedding)
    np.testing.assert_array_equal(one.final_norm, other.final_norm)
    np.testing.assert_array_equal(one.head, other.head)


@pytest.mark.parametrize(("mode", "linear"), tiny_bitnet.LAYOUTS)
def test_every_layer_computes_what_transformers_computes(tmp_path, mode, linear):
    directory = tiny_bitnet.write_layout(tmp_path, mode, linear)
    checkpoint = read_checkpoint(directory)
    model = BitNetForCausalLM.from_pretrained(directory, dtype=torch.float32)
    rng = np.random.default_rng(1)
    for name, matrix in matrices(checkpoint):
        assert matrix.codes.dtype == np.int8 and isinstance(matrix.scale, np.float32)
        linear_layer = model.get_submodule(name)
        assert type(linear_layer).__name__.lower() == linear
        x = rng.standard_normal((5, matrix.codes.shape[1])).astype(np.float32)
        quantised, scale = absmax_int8(x)
        # Rows that are already on the grid pass the layer's own quantiser unchanged.
        x = (quantised / scale[:, None]).astype(np.float32)
        with torch.no_grad():
            expected = linear_layer(torch.from_numpy(x)).numpy()
        result = x.astype(np.float64) @ (matrix.codes * matrix.scale.astype(np.float64)).T
        np.testing.assert_allclose(result, expected, rtol=2e-5, atol=2e-6, err_msg=name)
        assert np.abs(expected).max() > 0.05
    for index, layer in enumerate(checkpoint.layers):
        for field, name in NORM_FIELDS.items():
            expected = model.get_submodule(f"model.layers.{index}.{name}").weight.detach().numpy()
            np.testing.assert_array_equal(getattr(layer, field), expected)
    np.testing.assert_array_equal(checkpoint.embedding, model.model.embed_tokens.weight.detach().numpy())
    np.testing.assert_array_equal(checkpoint.final_norm, model.model.norm.weight.detach().numpy())
    np.testing.assert_array_equal(checkpoint.head, model.lm_head.weight.detach().numpy())


def test_codes_are_the_packed_ones(tmp_path):
    directory = tiny_bitnet.write_layout(tmp_path, "offline", "bitlinear")
    stored = torch_load(directory / "model.safetensors")
    for name, matrix in matrices(read_checkpoint(directory)):
        expected = unpack_weights(stored[f"{name}.weight"], dtype=torch.int8).numpy()
        np.testing.assert_array_equal(matrix.codes, expected)
        assert matrix.scale == np.float32(1) / stored[f"{name}.weight_scale"].numpy()[0]


def test_layouts_hold_the_same_model(tmp_path):
    read = [read_checkpoint(tiny_bitnet.write_layout(tmp_path / f"{mode}_{linear}", mode, linear))
            for mode, linear in tiny_bitnet.LAYOUTS]
    assert_same(read[0], read[1])
    for (name, a), (_, b) in zip(matrices(read[1]), matrices(read[2]), strict=True):
        np.testing.assert_array_equal(a.codes, b.codes, err_msg=name)
        np.testing.assert_allclose(a.scale, b.scale, rtol=2e-7)


def test_directory_that_transformers_saved(tmp_path):
    torch.manual_seed(0)
    config = TransformersConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=40, max_position_embeddings=128, rope_theta=1234.5,
        hidden_act="silu", bos_token_id=5, eos_token_id=None, tie_word_embeddings=True)
    model = BitNetForCausalLM(config)
    model.save_pretrained(tmp_path)
    checkpoint = read_checkpoint(tmp_path)
    read = checkpoint.config
    assert (read.hidden_size, read.intermediate_size, read.num_hidden_layers, read.num_attention_heads,
            read.num_key_value_heads, read.head_dim, read.vocab_size) == (32, 64, 2, 4, 2, 8, 40)
    assert (read.max_position_embeddings, read.rope_theta, read.rms_norm_eps) == (128, 1234.5, 1e-5)
    assert (read.hidden_act, read.tie_word_embeddings, read.bos_token_id, read.eos_token_id) == (
        "silu", True, 5, None)
    assert checkpoint.head is None
    np.testing.assert_array_equal(checkpoint.embedding, model.model.embed_tokens.weight.detach().numpy())


def test_offline_model_saved_after_transformers_loaded_it(tmp_path):
    directory = tiny_bitnet.write_layout(tmp_path / "packed", "offline", "autobitlinear")
    model = BitNetForCausalLM.from_pretrained(directory, dtype=torch.float32)
    again = tiny_bitnet.write_layout(tmp_path / "again", "offline", "autobitlinear", seed=9)
    torch_save(model.state_dict(), again / "model.safetensors")
    assert torch_load(again / "model.safetensors")[f"{Q}.weight"].dtype == torch.float32
    assert_same(read_checkpoint(again), read_checkpoint(directory))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(tmp_path, dtype):
    tensors = {name: torch.from_numpy(values).to(dtype) for name, values in tiny_bitnet.latent().items()}
    halves = tiny_bitnet.write_layout(tmp_path / "halves", "online", "autobitlinear")
    torch_save(tensors, halves / "model.safetensors")
    widened = {name: values.float().numpy() for name, values in tensors.items()}
    wide = tiny_bitnet.write(tmp_path / "wide", widened, tiny_bitnet.config("online"))
    checkpoint = read_checkpoint(halves)
    assert_same(checkpoint, read_checkpoint(wide))
    assert checkpoint.embedding.dtype == (np.float16 if dtype is torch.float16 else np.float32)
    assert checkpoint.final_norm.dtype == checkpoint.layers[0].input_norm.dtype == np.float32


def test_bfloat16_scale(tmp_path):
    directory = tiny_bitnet.write_layout(tmp_path, "offline", "autobitlinear")
    tensors = torch_load(directory / "model.safetensors")
    for name in tensors:
        if name.endswith("_scale"):
            tensors[name] = torch.tensor([0.0125]).bfloat16()
    torch_save(tensors, directory / "model.safetensors")
    expected = np.float32(torch.tensor(0.0125).bfloat16().float().item())
    assert {matrix.scale for _, matrix in matrices(read_checkpoint(directory))} == {expected}


def test_shards(tmp_path):
    whole = tiny_bitnet.write_layout(tmp_path / "whole", "offline", "bitlinear")
    tensors = tiny_bitnet.offline(tiny_bitnet.latent(), "bitlinear")
    shards = tmp_path / "shards"
    shards.mkdir()
    names = sorted(tensors)
    weight_map = {}
    for part in range(2):
        file = f"model-{part + 1:05}-of-00002.safetensors"
        save_file({name: tensors[name] for name in names[part::2]}, shards / file)
        weight_map.update(dict.fromkeys(names[part::2], file))
    index = {"metadata": {}, "weight_map": weight_map}
    (shards / "model.safetensors.index.json").write_text(json.dumps(index))
    (shards / "config.json").write_text((whole / "config.json").read_text())
    assert_same(read_checkpoint(shards), read_checkpoint(whole))


def test_unpack_rows_undoes_transformers_packing():
    codes = np.random.default_rng(2).integers(-1, 2, (24, 7), np.int8)
    packed = pack_weights(torch.from_numpy(codes.copy())).numpy()
    np.testing.assert_array_equal(packed, tiny_bitnet.pack(codes))
    np.testing.assert_array_equal(unpack_rows(packed), codes)


def test_tied_head_may_be_stored_again(tmp_path):
    tensors = tiny_bitnet.latent()
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].copy()
    directory = tiny_bitnet.write(tmp_path, tensors, tiny_bitnet.config("online", tie_word_embeddings=True))
    assert read_checkpoint(directory).head is None


@pytest.mark.parametrize(("changes", "theta"), [
    ({}, 10000.0),
    ({"rope_parameters": None, "rope_theta": 777}, 777.0),
    ({"rope_parameters": None}, TransformersConfig.default_theta),
    ({"rope_parameters": {"rope_type": "default"}, "rope_theta": 99.5}, 99.5),
])
def test_places_of_the_rotary_base(tmp_path, changes, theta):
    (tmp_path / "config.json").write_text(json.dumps(tiny_bitnet.config(**changes)))
    config = read_config(tmp_path)
    assert config.rope_theta == theta and isinstance(config.rope_theta, float)
    assert config.eos_token_id == [2, 3]
