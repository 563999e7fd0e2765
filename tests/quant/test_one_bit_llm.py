"""Directories of the 1bitLLM family: names, defaults, and what is refused of them."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from terntable.quant.families import MICROSOFT, ONE_BIT_LLM
from terntable.quant.huggingface import CheckpointError, read_checkpoint, read_config
from terntable.quant.huggingface_config import WeightLayout, read_family, read_layout
from terntable.quant.ternary import absmean_ternary
from tests.quant import tiny_bitnet

NORM = "model.layers.0.self_attn.inner_attn_ln.weight"


def refused(directory, sentence):
    with pytest.raises(CheckpointError, match=sentence) as caught:
        read_checkpoint(directory)
    assert str(directory) in str(caught.value) and "\n" not in str(caught.value)


def test_every_tensor_finds_its_place(tmp_path):
    directory = tiny_bitnet.write_one_bit_llm(tmp_path)
    checkpoint = read_checkpoint(directory)
    stored = load_file(directory / "model.safetensors")
    assert "lm_head.weight" not in stored and checkpoint.head is None
    for index, layer in enumerate(checkpoint.layers):
        prefix = f"model.layers.{index}."
        for field in "qkvo":
            codes, scale = absmean_ternary(stored.pop(f"{prefix}self_attn.{field}_proj.weight"))
            np.testing.assert_array_equal(getattr(layer, field).codes, codes)
            assert getattr(layer, field).scale == scale
        for field in ("gate", "up", "down"):
            codes, scale = absmean_ternary(stored.pop(f"{prefix}mlp.{field}_proj.weight"))
            np.testing.assert_array_equal(getattr(layer, field).codes, codes)
            assert getattr(layer, field).scale == scale
        for field, name in (("input_norm", "input_layernorm"), ("attn_sub_norm", "self_attn.inner_attn_ln"),
                            ("post_norm", "post_attention_layernorm"), ("ffn_sub_norm", "mlp.ffn_layernorm")):
            np.testing.assert_array_equal(getattr(layer, field), stored.pop(f"{prefix}{name}.weight"))
    np.testing.assert_array_equal(checkpoint.embedding, stored.pop("model.embed_tokens.weight"))
    np.testing.assert_array_equal(checkpoint.final_norm, stored.pop("model.norm.weight"))
    assert not stored
    assert read_family(directory) is ONE_BIT_LLM and read_layout(directory) is WeightLayout.LATENT


def test_the_configuration_of_bitnet_b1_58_large(tmp_path):
    """The published file, key for key."""
    values = tiny_bitnet.one_bit_llm_config(
        _name_or_path="1bitLLM/bitnet_b1_58-large", hidden_size=1536, intermediate_size=4096, max_position_embeddings=2048,
        num_attention_heads=16, num_hidden_layers=24, num_key_value_heads=16, pad_token_id=32000, torch_dtype="float16",
        transformers_version="4.39.0", vocab_size=32002)
    (tmp_path / "config.json").write_text(json.dumps(values))
    config = read_config(tmp_path)
    assert (config.hidden_size, config.intermediate_size, config.num_hidden_layers, config.num_attention_heads,
            config.num_key_value_heads, config.head_dim, config.vocab_size) == (1536, 4096, 24, 16, 16, 96, 32002)
    assert (config.max_position_embeddings, config.rope_theta, config.rms_norm_eps) == (2048, 10000.0, 1e-5)
    assert (config.hidden_act, config.tie_word_embeddings, config.bos_token_id, config.eos_token_id) == ("silu", True, 1, 2)


def test_absent_keys_have_the_meaning_of_each_family(tmp_path):
    absent = dict.fromkeys(("rope_theta", "rms_norm_eps", "hidden_act", "num_key_value_heads", "tie_word_embeddings",
                            "weight_bits", "input_bits", "rope_parameters"))
    for values, theta, eps, act in ((tiny_bitnet.one_bit_llm_config(**absent), 1e4, 1e-6, "silu"),
                                    (tiny_bitnet.config(**absent), 5e5, 1e-5, "relu2")):
        (tmp_path / "config.json").write_text(json.dumps(values))
        config = read_config(tmp_path)
        assert (config.rope_theta, config.rms_norm_eps, config.hidden_act) == (theta, eps, act)
        assert config.num_key_value_heads == tiny_bitnet.HEADS and not config.tie_word_embeddings
    assert read_family(tmp_path) is MICROSOFT


@pytest.mark.parametrize("changes", [
    {"model_type": "bitnet"}, {"hidden_act": "relu2"}, {"packed": False}, {"quant_bits": None}, {"tie_word_embeddings": False},
])
def test_variants_that_are_read(tmp_path, changes):
    directory = tiny_bitnet.write_one_bit_llm(tmp_path, **changes)
    checkpoint = read_checkpoint(directory)
    assert checkpoint.config.hidden_act == changes.get("hidden_act", "silu")
    assert (checkpoint.head is None) == checkpoint.config.tie_word_embeddings


def test_the_rotary_table_of_old_files_is_passed_over(tmp_path):
    directory = tiny_bitnet.write_one_bit_llm(tmp_path)
    tensors = load_file(directory / "model.safetensors")
    tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = np.ones(4, np.float32)
    save_file(tensors, directory / "model.safetensors")
    read_checkpoint(directory)


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"architectures": ["LlamaForCausalLM"]}, r"config.json: architectures is \['LlamaForCausalLM'\], but must be "
                                              r"\['BitnetForCausalLM'\] with the model_type 'llama'"),
    ({"architectures": None}, "config.json: architectures is missing, but must be"),
    ({"model_type": "bit_llama"}, "config.json: model_type is 'bit_llama', but must be 'bitnet' or 'llama'"),
    ({"weight_bits": 2}, "config.json: weight_bits is 2, but must be 1"),
    ({"weight_bits": True}, "config.json: weight_bits is True, but must be 1"),
    ({"input_bits": 4}, "config.json: input_bits is 4, but must be 8"),
    ({"packed": True}, "config.json: packed is True, but must be absent: only float weights"),
    ({"quant_bits": 2}, "config.json: quant_bits is 2, but must be absent"),
    ({"quantization_config": {"quant_method": "bitnet"}},
     "config.json: quantization_config is {'quant_method': 'bitnet'}, but must be absent"),
    ({"hidden_act": "gelu"}, "config.json: hidden_act is 'gelu', but must be 'relu2' or 'silu'"),
    ({"attention_bias": True}, "config.json: attention_bias is True, but must be false"),
    ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "config.json: rope_scaling.type is 'linear', but must be 'default'"),
    ({"tie_word_embeddings": False, "architectures": ["BitNetForCausalLM"]},
     r"architectures is \['BitNetForCausalLM'\], but must be \['BitnetForCausalLM'\]"),
])
def test_refused_configurations(tmp_path, changes, sentence):
    refused(tiny_bitnet.write_one_bit_llm(tmp_path, **changes), sentence)


def test_names_of_the_other_family_are_refused(tmp_path):
    theirs = tiny_bitnet.write(tmp_path / "theirs", tiny_bitnet.latent(), tiny_bitnet.one_bit_llm_config())
    refused(theirs, r"tensor 'model.layers.\d.\w+.\w+_sub_norm.weight' has no place in a 1bitLLM BitNet model with 2 layers")
    ours = tiny_bitnet.write(tmp_path / "ours", tiny_bitnet.one_bit_llm(tiny_bitnet.latent(), tied=False),
                             tiny_bitnet.config("online"))
    refused(ours, r"tensor 'model.layers.\d.\w+.(inner_attn_ln|ffn_layernorm).weight' has no place in a BitNet model")


@pytest.mark.parametrize(("change", "sentence"), [
    (lambda t: t.pop(NORM), f"tensor '{NORM}' is missing"),
    (lambda t: t.update({NORM: np.ones(16, np.float32)}), rf"tensor '{NORM}' has shape \(16,\), but .* asks for \(32,\)"),
    (lambda t: t.update({"model.layers.1.mlp.down_proj.weight": np.zeros((8, 64), np.uint8)}),
     "tensor 'model.layers.1.mlp.down_proj.weight' is of type U8, but must be F16 or BF16 or F32"),
    (lambda t: t.update({"model.layers.0.self_attn.q_proj.weight_scale": np.ones(1, np.float32)}),
     "q_proj.weight_scale' has no place in .* says float weights"),
])
def test_refused_tensors(tmp_path, change, sentence):
    tensors = tiny_bitnet.one_bit_llm(tiny_bitnet.latent())
    change(tensors)
    refused(tiny_bitnet.write(tmp_path, tensors, tiny_bitnet.one_bit_llm_config()), sentence)
