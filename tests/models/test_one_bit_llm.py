"""The plain float reference against transformers' BitNet, both activations, both families' names."""

import pytest
import torch
from transformers import BitNetForCausalLM

from tests.models import one_bit_llm
from tests.quant import tiny_bitnet

TOKENS = [3, 47, 0, 11, 11, 29, 8, 40, 2, 19, 33, 5]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(autouse=True)
def eager():
    """Run transformers' compiled functions uncompiled: the same arithmetic, without a compiler run."""
    with torch.compiler.set_stance("force_eager"), torch.no_grad():
        yield


def transformers_logits(tmp_path, tensors, **changes):
    directory = tiny_bitnet.write(tmp_path / "microsoft", tensors, tiny_bitnet.config("online", **changes))
    model = BitNetForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    assert type(model.get_submodule("model.layers.1.mlp.down_proj")).__name__ == "AutoBitLinear"
    return model(torch.tensor([TOKENS])).logits[0]


@pytest.mark.parametrize("act", ["relu2", "silu"])
@pytest.mark.parametrize("tied", [False, True])
def test_logits_are_those_of_transformers(tmp_path, act, tied):
    tensors = tiny_bitnet.latent(4)
    if tied:
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].copy()
    expected = transformers_logits(tmp_path, tensors, hidden_act=act, tie_word_embeddings=tied)
    renamed = tiny_bitnet.one_bit_llm(tensors, tied=tied)
    ours = tiny_bitnet.write(tmp_path / "ours", renamed, tiny_bitnet.one_bit_llm_config(
        hidden_act=act, tie_word_embeddings=tied))
    result = one_bit_llm.logits(*one_bit_llm.load(ours), TOKENS)
    assert result.shape == (len(TOKENS), tiny_bitnet.VOCABULARY) and expected.std() > 0.1
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-5)


def test_microsofts_names_are_taken_too():
    tensors = {name: torch.from_numpy(values) for name, values in tiny_bitnet.latent(4).items()}
    renamed = {name: torch.from_numpy(values)
               for name, values in tiny_bitnet.one_bit_llm(tiny_bitnet.latent(4), tied=False).items()}
    values = tiny_bitnet.one_bit_llm_config(tie_word_embeddings=False)
    assert torch.equal(one_bit_llm.logits(tensors, values, TOKENS), one_bit_llm.logits(renamed, values, TOKENS))


@pytest.mark.parametrize("changed", [
    "model.layers.1.self_attn.inner_attn_ln.weight", "model.layers.0.mlp.ffn_layernorm.weight", "model.norm.weight",
    "model.layers.0.self_attn.k_proj.weight", "model.layers.1.mlp.up_proj.weight", "model.embed_tokens.weight",
])
def test_every_kind_of_tensor_matters(changed):
    """No norm cancels in the next absmax, and no projection is left out."""
    values = tiny_bitnet.one_bit_llm_config()
    tensors = {name: torch.from_numpy(array) for name, array in tiny_bitnet.one_bit_llm(tiny_bitnet.latent(4)).items()}
    before = one_bit_llm.logits(tensors, values, TOKENS)
    tensors[changed] = tensors[changed].flip(0)
    assert (one_bit_llm.logits(tensors, values, TOKENS) - before).abs().max() > 0.01
