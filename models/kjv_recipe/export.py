"""Write the trained network as a Hugging Face directory: `python -m terntable.models.kjv_recipe.export`.

Projection weights become transformers' packed ternary bytes with their absmean scale. The embedding and the
norm gains are rounded to float16 values, which is what the accelerator reads, but stored as float32:
transformers keeps the stored type of a quantised checkpoint, and its AutoBitLinear computes in float32.
"""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from terntable.models.kjv_recipe.data import BOS, EOS, marks
from terntable.models.kjv_recipe.network import EPSILON, Network
from terntable.models.kjv_recipe.train import BUILD, load_network
from terntable.quant.checksums import write_checksums

_GROUPS = {
    "qkv": "self_attn",
    "out": "self_attn",
    "attn_sub_norm": "self_attn",
    "gate_up": "mlp",
    "down": "mlp",
    "ffn_sub_norm": "mlp",
}
"""Where the children of a block live in a BitNetDecoderLayer; the other norms keep their place."""


def pack(ternary: Tensor) -> Tensor:
    """(rows, columns) of -1, 0, 1 -> uint8 (rows / 4, columns).

    Bits 2i and 2i + 1 of byte row r hold row r + i rows / 4, plus 1.
    ValueError when the rows are not a multiple of four.
    """
    rows = ternary.shape[0]
    if rows % 4:
        raise ValueError(f"{rows} rows cannot be packed; transformers' layout needs a multiple of 4")
    quarters = (ternary + 1).to(torch.uint8).reshape(4, rows // 4, -1)
    return quarters[0] | quarters[1] << 2 | quarters[2] << 4 | quarters[3] << 6


def hugging_face_names(network: Network) -> dict[str, Tensor]:
    """Return the latent float parameters under the names of BitNetForCausalLM."""
    named = {
        "model.embed_tokens.weight": network.embed_tokens.detach(),
        "model.norm.weight": network.norm.weight.detach(),
    }
    for name, parameter in network.layers.named_parameters():
        index, child, leaf = name.split(".")
        if leaf == "weight":
            path = f"{_GROUPS[child]}.{child}" if child in _GROUPS else child
        else:
            path = f"{_GROUPS[child]}.{leaf}"
        named[f"model.layers.{index}.{path}.weight"] = parameter.detach()
    return named


def quantised_tensors(network: Network) -> dict[str, Tensor]:
    """Return the tensors of the checkpoint file: packed projections and scales, float16 values else."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in hugging_face_names(network).items():
        if name.endswith("_proj.weight"):
            scale = parameter.abs().mean().clamp(min=EPSILON)
            tensors[name] = pack((parameter / scale).round().clamp(-1, 1)).contiguous()
            tensors[f"{name}_scale"] = scale.reshape(1)
        else:
            tensors[name] = parameter.to(torch.float16).to(torch.float32).contiguous()
    return tensors


def model_config(network: Network, *, bos: int, eos: int) -> dict[str, object]:
    """Return the content of `config.json`."""
    c = network.config
    return {
        "architectures": ["BitNetForCausalLM"],
        "model_type": "bitnet",
        "vocab_size": c.vocabulary,
        "hidden_size": c.hidden,
        "intermediate_size": c.intermediate,
        "num_hidden_layers": c.layers,
        "num_attention_heads": c.heads,
        "num_key_value_heads": c.kv_heads,
        "head_dim": c.head_dim,
        "hidden_act": "relu2",
        "max_position_embeddings": c.positions,
        "rope_theta": c.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": c.rope_theta},
        "rms_norm_eps": c.norm_epsilon,
        "attention_bias": False,
        "tie_word_embeddings": True,
        "bos_token_id": bos,
        "eos_token_id": eos,
        "dtype": "float32",
        "quantization_config": {
            "quant_method": "bitnet",
            "linear_class": "autobitlinear",
            "quantization_mode": "offline",
        },
    }


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def export(*, network: Network, tokenizer: Path, directory: Path) -> None:
    """Write config.json, model.safetensors and the tokenizer files into `directory`, each atomically, then SHA256SUMS.

    `tokenizer` is the path of tokenizer.json; ValueError when the network is not a ternary one.
    """
    if not network.quantised:
        raise ValueError("the network was trained in float; only a ternary network can be exported")
    vocabulary = Tokenizer.from_file(str(tokenizer))
    bos, eos = marks(vocabulary)
    partial = directory / ".partial"
    partial.mkdir(parents=True, exist_ok=True)
    save_file(quantised_tensors(network), partial / "model.safetensors", metadata={"format": "pt"})
    _write_json(partial / "config.json", model_config(network, bos=bos, eos=eos))
    _write_json(
        partial / "generation_config.json",
        {"bos_token_id": bos, "eos_token_id": eos, "do_sample": True, "temperature": 0.7},
    )
    _write_json(
        partial / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": BOS,
            "eos_token": EOS,
            "model_max_length": network.config.positions,
            "clean_up_tokenization_spaces": False,
        },
    )
    shutil.copyfile(tokenizer, partial / "tokenizer.json")
    for path in sorted(partial.iterdir()):
        path.chmod(0o644)
        os.replace(path, directory / path.name)
    partial.rmdir()
    write_checksums(directory)


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=BUILD, help="directory of checkpoints")
    parser.add_argument("--out", type=Path, default=Path("models/kjv"), help="directory to write")
    options = parser.parse_args(arguments)
    export(
        network=load_network(options.build / "ternary.pt"),
        tokenizer=options.build / "tokenizer.json",
        directory=options.out,
    )
    print(f"wrote {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
