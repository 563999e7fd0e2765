"""Every class of bad checkpoint is refused with the sentence that names it."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from terntable.quant.huggingface import CheckpointError, read_checkpoint, read_config
from tests.quant import tiny_bitnet

Q = "model.layers.1.self_attn.q_proj.weight"
PACKED = tiny_bitnet.offline(tiny_bitnet.latent(), "autobitlinear")
LATENT = tiny_bitnet.latent()


def refused(directory, sentence):
    with pytest.raises(CheckpointError, match=sentence) as caught:
        read_checkpoint(directory)
    assert str(directory) in str(caught.value) and "\n" not in str(caught.value)


def changed(tensors, name, change):
    """Copy the tensors with one changed: a function edits it, an array replaces it, None removes it."""
    tensors = {key: values.copy() for key, values in tensors.items()}
    if change is None:
        del tensors[name]
    elif callable(change):
        change(tensors[name])
    else:
        tensors[name] = change
    return tensors


def put(place, value):
    """Return an edit that sets one element."""
    def edit(values):
        values[place] = value
    return edit


@pytest.mark.parametrize(("name", "change", "sentence"), [
    (Q, None, f"tensor '{Q}' is missing"),
    (f"{Q}_scale", None, f"tensor '{Q}_scale' is missing"),
    ("model.norm.weight", None, "tensor 'model.norm.weight' is missing"),
    ("lm_head.weight", None, "tensor 'lm_head.weight' is missing"),
    (Q, np.zeros((8, 31), np.uint8), r"has shape \(8, 31\), but the configuration asks for \(8, 32\)"),
    (Q, put((3, 5), 0b01110000),
     rf"safetensors: tensor '{Q}' holds the byte 112 at index \(3, 5\), but each two bits must be 0, 1 or 2"),
    (Q, np.full((32, 32), 0.5, np.float32),
     r"holds 0.5 at index \(0, 0\), but the quantization_mode 'offline' allows only -1, 0 and 1"),
    (f"{Q}_scale", put(0, np.nan), f"tensor '{Q}_scale' holds nan at index"),
    (f"{Q}_scale", put(0, np.inf), f"tensor '{Q}_scale' holds inf at index"),
    (f"{Q}_scale", np.array(np.nan, np.float32), rf"tensor '{Q}_scale' holds nan at index \(\)"),
    (f"{Q}_scale", put(0, 0), f"tensor '{Q}_scale' is 0.0, but must be positive"),
    (f"{Q}_scale", put(0, -0.5), f"tensor '{Q}_scale' is -0.5, but must be positive"),
    (f"{Q}_scale", np.ones(2, np.float32), r"has shape \(2,\), but the configuration asks for \(1,\)"),
    (f"{Q}_scale", np.ones(1, np.int64), "is of type I64, but must be F16 or BF16 or F32"),
    ("model.embed_tokens.weight", put((7, 3), np.nan), r"holds nan at index \(7, 3\), but must be finite"),
    ("model.norm.weight", put(4, -np.inf), r"'model.norm.weight' holds -inf at index \(4,\)"),
    ("lm_head.weight", np.zeros((48, 32), np.uint8), "'lm_head.weight' is of type U8, but must be F16"),
    ("model.layers.2.input_layernorm.weight", np.ones(32, np.float32),
     "no place in a BitNet model with 2 layers"),
    ("model.layers.0.self_attn.q_proj.bias", np.ones(32, np.float32), "q_proj.bias' has no place in"),
])
def test_refused_packed_tensors(tmp_path, name, change, sentence):
    refused(tiny_bitnet.write(tmp_path, changed(PACKED, name, change), tiny_bitnet.config()), sentence)


@pytest.mark.parametrize(("name", "change", "sentence"), [
    (Q, put((2, 9), np.nan), rf"tensor '{Q}' holds nan at index \(2, 9\), but must be finite"),
    (Q, PACKED[Q], f"tensor '{Q}' is of type U8, but must be F16 or BF16 or F32"),
    (f"{Q}_scale", np.ones(1, np.float32), f"'{Q}_scale' has no place in .* says float weights"),
    (Q, np.zeros((32, 33), np.float32), r"has shape \(32, 33\), but the configuration asks for \(32, 32\)"),
])
@pytest.mark.parametrize("entry", [True, False])
def test_refused_latent_tensors(tmp_path, name, change, sentence, entry):
    values = tiny_bitnet.config("online")
    if not entry:
        del values["quantization_config"]
    refused(tiny_bitnet.write(tmp_path, changed(LATENT, name, change), values), sentence)


def test_refused_scales_that_divide(tmp_path):
    for value in (0, 1e-45):
        tensors = changed(PACKED, f"{Q}_scale", put(0, value))
        directory = tiny_bitnet.write(tmp_path, tensors, tiny_bitnet.config(linear="bitlinear"))
        refused(directory, f"tensor '{Q}_scale' is .*, but must be positive with a finite scale")


def test_a_tied_head_that_differs(tmp_path):
    directory = tiny_bitnet.write(tmp_path, LATENT, tiny_bitnet.config("online", tie_word_embeddings=True))
    refused(directory, "'lm_head.weight' differs from 'model.embed_tokens.weight', but tie_word_emb")


def test_rows_that_do_not_pack(tmp_path):
    values = tiny_bitnet.config(num_attention_heads=1, num_key_value_heads=1, intermediate_size=62)
    tensors = changed(PACKED, "model.layers.0.self_attn.k_proj.weight", PACKED[Q])
    tensors["model.layers.0.self_attn.v_proj.weight"] = PACKED[Q]
    refused(tiny_bitnet.write(tmp_path, tensors, values), "is packed, but its 62 rows are no multiple of 4")


def quantization(**changes):
    return {"quantization_config": {"quant_method": "bitnet", "linear_class": "bitlinear",
                                    "quantization_mode": "offline", **changes}}


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"model_type": "gpt2"}, "config.json: model_type is 'gpt2', but must be 'bitnet' or 'llama'"),
    ({"model_type": "llama"}, "config.json: architectures is missing, but must be .* with the model_type 'llama'"),
    ({"model_type": None}, "model_type is missing, but must be 'bitnet'"),
    ({"hidden_act": "gelu"}, "hidden_act is 'gelu', but must be 'relu2' or 'silu'"),
    ({"hidden_size": None}, "hidden_size is missing, but must be an integer from 1"),
    ({"hidden_size": "32"}, "hidden_size is '32', but must be an integer from 1"),
    ({"vocab_size": 0}, "vocab_size is 0, but must be an integer from 1"),
    ({"num_hidden_layers": 2.5}, "num_hidden_layers is 2.5, but"),
    ({"max_position_embeddings": True}, "max_position_embeddings is True, but"),
    ({"num_key_value_heads": 3}, "num_key_value_heads is 3, but must divide num_attention_heads, 4"),
    ({"head_dim": 16}, "hidden_size is 32, but must be num_attention_heads x head_dim, 4 x 16"),
    ({"num_attention_heads": 32}, "hidden_size is 32, but makes heads of 1: rotary"),
    ({"attention_bias": True}, "attention_bias is True, but must be false"),
    ({"rms_norm_eps": 0}, "rms_norm_eps is 0, but must be a number from 1e-37 to 1e37"),
    ({"rope_parameters": {"rope_theta": float("nan")}}, "rope_parameters.rope_theta is nan, but"),
    ({"rope_parameters": {"rope_theta": 1e4, "rope_type": "yarn"}},
     "rope_parameters.rope_type is 'yarn', but must "),
    ({"rope_scaling": {"type": "linear", "factor": 2}, "rope_parameters": None},
     "rope_scaling.type is 'linear'"),
    ({"rope_parameters": 3}, "rope_parameters is 3, but must be an object"),
    ({"tie_word_embeddings": "yes"}, "tie_word_embeddings is 'yes', but must be true or false"),
    ({"eos_token_id": [1, -2]}, r"eos_token_id is \[1, -2\], but must be null, a token or a list of tokens"),
    ({"bos_token_id": 1.5}, "bos_token_id is 1.5, but"),
    (quantization(quant_method="gptq"), "quantization_config.quant_method is 'gptq', but must be 'bitnet'"),
    (quantization(linear_class="linear"),
     "quantization_config.linear_class is 'linear', but must be 'bitlinear' or"),
    (quantization(quantization_mode="later"),
     "quantization_mode is 'later', but must be 'offline' or 'online'"),
    (quantization(quantization_mode="online"),
     "'online', but must be 'offline' with the linear_class 'bitlinear'"),
    (quantization(use_rms_norm=True), "use_rms_norm is True, but must be false"),
    (quantization(modules_to_not_convert=["q_proj"]),
     "modules_to_not_convert is .*, but must be null or name lm_head"),
    ({"hidden_size": 64}, r"'model.embed_tokens.weight' has shape \(48, 32\), but .* \(48, 64\)"),
    ({"num_hidden_layers": 1}, "'model.layers.1.* has no place in a BitNet model with 1 layers"),
    ({"num_hidden_layers": 3}, "tensor 'model.layers.2.self_attn.q_proj.weight.*' is missing"),
    ({"intermediate_size": 60}, r"gate_proj.weight' has shape \(16, 32\), but .* \(15, 32\)"),
])
def test_refused_configurations(tmp_path, changes, sentence):
    refused(tiny_bitnet.write(tmp_path, PACKED, tiny_bitnet.config(**changes)), sentence)


@pytest.mark.parametrize(("text", "sentence"), [
    ("{", "config.json is not valid JSON"), ("[]", "config.json holds a JSON list, but must hold an object"),
    ("[" * 100000, "config.json is not valid JSON"), (b"\xff\xfe{", "config.json is not valid JSON"),
])
def test_malformed_json(tmp_path, text, sentence):
    (tmp_path / "config.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    refused(tmp_path, sentence)


def test_missing_directory_and_files(tmp_path):
    refused(tmp_path / "nowhere", "nowhere is not a directory")
    with pytest.raises(CheckpointError, match="nowhere is not a directory"):
        read_config(tmp_path / "nowhere")
    refused(tmp_path, "config.json is missing")
    (tmp_path / "config.json").write_text(json.dumps(tiny_bitnet.config()))
    refused(tmp_path, "holds neither model.safetensors nor model.safetensors.index.json")


def test_damaged_safetensors(tmp_path):
    directory = tiny_bitnet.write(tmp_path, PACKED, tiny_bitnet.config())
    file = directory / "model.safetensors"
    content = file.read_bytes()
    long_header = b"\xff" * 8 + content[8:]
    for damaged in (b"", content[:5], content[:100], content[:-1], content + b"\0", long_header):
        file.write_bytes(damaged)
        refused(directory, "model.safetensors is not a whole safetensors file: ")


def test_refused_indexes(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(tiny_bitnet.config()))
    save_file({"model.norm.weight": np.ones(32, np.float32)}, tmp_path / "one.safetensors")
    for content, sentence in (
        ({}, "index.json: weight_map must be an object"),
        ({"weight_map": {"a": "two.safetensors"}}, "two.safetensors is missing, but model.*json names it"),
        ({"weight_map": {"a": "one.safetensors"}}, "one.safetensors: tensor 'a' is missing, but model.*json"),
        ({"weight_map": {"a": "../one.safetensors"}}, "tensor 'a' is '../one.safetensors', but must be"),
        ({"weight_map": {"a": 3}}, "file of tensor 'a' is 3, but must be a name inside the directory"),
        ({"weight_map": {"model.norm.weight": "one.safetensors"}},
         "tensor 'model.embed_tokens.weight' is missing"),
    ):
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps(content))
        refused(tmp_path, sentence)
