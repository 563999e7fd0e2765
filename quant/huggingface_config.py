"""``config.json`` of a Hugging Face BitNet directory: sizes, constants, and how the weights are stored."""

import enum
import json
import os
from pathlib import Path
from typing import Any

from terntable.quant.checkpoint import BitNetConfig, CheckpointError
from terntable.quant.families import MICROSOFT, ONE_BIT_LLM, Family

__all__ = ["CONFIG_NAME", "WeightLayout", "read_config", "read_family", "read_json", "read_layout"]

CONFIG_NAME = "config.json"
_ACTIVATIONS = ("relu2", "silu")
# 1bitLLM's class; transformers' own is written with a capital N.
_ONE_BIT_LLM_CLASS = ["BitnetForCausalLM"]
_LARGEST = 2**31 - 1


class WeightLayout(enum.Enum):
    """What the linear layers of a checkpoint hold."""

    LATENT = "float weights, made ternary by their mean magnitude"
    MULTIPLIED = "ternary codes and a scale that multiplies them"
    DIVIDED = "ternary codes and a scale that divides them"


def read_json(file: Path) -> dict[str, Any]:
    """Read a JSON object; any failure is a :class:`CheckpointError` that names the file."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{file} is missing") from error
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {error}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{file} holds a JSON {type(content).__name__}, but must hold an object")
    return content


def read_config(path: str | os.PathLike[str]) -> BitNetConfig:
    """Read the configuration of the BitNet model in the directory ``path``.

    Both places of the RoPE base are read: ``rope_theta`` and, as transformers 5 writes it,
    ``rope_parameters``. An absent constant is the family's. Raises :class:`CheckpointError` for a missing or malformed file, a
    model of another kind, and sizes that are out of range or disagree.
    """
    fields = _Fields(_config_file(path))
    family = _family(fields)
    if fields.get("attention_bias"):
        raise fields.error("attention_bias", "must be false: the linear layers have no bias")
    hidden = fields.size("hidden_size")
    heads = fields.size("num_attention_heads")
    kv_heads = heads if fields.get("num_key_value_heads") is None else fields.size("num_key_value_heads")
    if heads % kv_heads:
        raise fields.error("num_key_value_heads", f"must divide num_attention_heads, {heads}")
    head_dim = hidden // heads if fields.get("head_dim") is None else fields.size("head_dim")
    # The norm before the output projection is hidden_size wide, so the heads must fill it.
    if heads * head_dim != hidden:
        raise fields.error("hidden_size", f"must be num_attention_heads x head_dim, {heads} x {head_dim}")
    if head_dim % 2:
        raise fields.error("hidden_size", f"makes heads of {head_dim}: rotary positions need an even size")
    return BitNetConfig(
        hidden_size=hidden,
        intermediate_size=fields.size("intermediate_size"),
        num_hidden_layers=fields.size("num_hidden_layers"),
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=head_dim,
        vocab_size=fields.size("vocab_size"),
        max_position_embeddings=fields.size("max_position_embeddings"),
        rope_theta=_rope_theta(fields, family.rope_theta),
        rms_norm_eps=fields.positive("rms_norm_eps", family.rms_norm_eps),
        hidden_act=fields.choice("hidden_act", _ACTIVATIONS, family.hidden_act),
        tie_word_embeddings=fields.flag("tie_word_embeddings", False),
        bos_token_id=fields.tokens("bos_token_id"),
        eos_token_id=fields.tokens("eos_token_id"),
    )


def read_family(path: str | os.PathLike[str]) -> Family:
    """Say in which family's words the directory ``path`` is written.

    A file of the 1bitLLM family has the ``architectures`` ``["BitnetForCausalLM"]``; its ``model_type`` is "llama", or "bitnet"
    where a port renamed it. Raises :class:`CheckpointError` for any other kind of model.
    """
    return _family(_Fields(_config_file(path)))


def read_layout(path: str | os.PathLike[str]) -> WeightLayout:
    """Say how the directory ``path`` stores its linear layers, from ``quantization_config``.

    Without that entry the weights are latent. Absent keys have the meaning that transformers gives them.
    Raises :class:`CheckpointError` for a method, class or mode that is not known or not read.
    """
    whole = _Fields(_config_file(path))
    if _family(whole) is ONE_BIT_LLM:
        _check_latent(whole)
        return WeightLayout.LATENT
    if whole.get("quantization_config") is None:
        return WeightLayout.LATENT
    fields = whole.section("quantization_config")
    fields.choice("quant_method", ("bitnet",), "bitnet")
    linear = fields.choice("linear_class", ("bitlinear", "autobitlinear"), "bitlinear")
    mode = fields.choice("quantization_mode", ("offline", "online"), "offline")
    if fields.get("use_rms_norm"):
        raise fields.error("use_rms_norm", "must be false: norms inside linear layers are not read")
    if fields.get("modules_to_not_convert") not in (None, ["lm_head"]):
        raise fields.error("modules_to_not_convert", "must be null or name lm_head alone")
    if mode == "offline":
        return WeightLayout.DIVIDED if linear == "bitlinear" else WeightLayout.MULTIPLIED
    if linear == "bitlinear":
        raise fields.error("quantization_mode", "must be 'offline' with the linear_class 'bitlinear'")
    return WeightLayout.LATENT


def _config_file(path: str | os.PathLike[str]) -> Path:
    directory = Path(path)
    if not directory.is_dir():
        raise CheckpointError(f"{directory} is not a directory")
    return directory / CONFIG_NAME


def _family(fields: "_Fields") -> Family:
    kind = fields.choice("model_type", ("bitnet", "llama"))
    if fields.get("architectures") == _ONE_BIT_LLM_CLASS:
        return ONE_BIT_LLM
    if kind == "llama":
        raise fields.error("architectures", f"must be {_ONE_BIT_LLM_CLASS} with the model_type 'llama'")
    return MICROSOFT


def _check_latent(fields: "_Fields") -> None:
    """Refuse the packed variants of the 1bitLLM family, each of which has a layout of its own."""
    for key, value in (("weight_bits", 1), ("input_bits", 8)):
        given = fields.values.get(key, value)
        if given != value or isinstance(given, bool):
            raise fields.error(key, f"must be {value}")
    for key in ("quantization_config", "quant_bits", "packed"):
        if fields.get(key) not in (None, False):
            raise fields.error(key, "must be absent: only float weights are read of this family")


def _rope_theta(fields: "_Fields", default: float) -> float:
    """Find the RoPE base and refuse every scaling of positions."""
    for key in ("rope_parameters", "rope_scaling"):
        if fields.get(key) is not None:
            section = fields.section(key)
            # Older files say "type"; both spellings of the plain rotation are read.
            section.choice("type" if "type" in section.values else "rope_type", ("default",), "default")
            if section.get("rope_theta") is not None:
                return section.positive("rope_theta")
    return fields.positive("rope_theta", default)


class _Fields:
    """Typed reads of one JSON object, with errors that name the file and the key."""

    def __init__(self, file: Path, values: dict[str, Any] | None = None, prefix: str = "") -> None:
        self.file = file
        self.values = read_json(file) if values is None else values
        self.prefix = prefix

    def get(self, key: str) -> Any:
        return self.values.get(key)

    def error(self, key: str, limit: str) -> CheckpointError:
        if key not in self.values:
            return CheckpointError(f"{self.file}: {self.prefix}{key} is missing, but {limit}")
        shown = repr(self.values[key])[:100]
        return CheckpointError(f"{self.file}: {self.prefix}{key} is {shown}, but {limit}")

    def section(self, key: str) -> "_Fields":
        value = self.get(key)
        if not isinstance(value, dict):
            raise self.error(key, "must be an object")
        return _Fields(self.file, value, f"{self.prefix}{key}.")

    def size(self, key: str) -> int:
        value = self.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _LARGEST:
            raise self.error(key, f"must be an integer from 1 to {_LARGEST}")
        return value

    def positive(self, key: str, default: float | None = None) -> float:
        value = self.values.get(key, default)
        # The sizes of float32 bound it: an eps or a base outside them is zero or infinite in use.
        if isinstance(value, bool) or not isinstance(value, int | float) or not 1e-37 <= value <= 1e37:
            raise self.error(key, "must be a number from 1e-37 to 1e37")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self.error(key, "must be true or false")
        return value

    def choice(self, key: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        value = self.values.get(key, default)
        if not isinstance(value, str) or value not in allowed:
            raise self.error(key, f"must be {' or '.join(map(repr, allowed))}")
        return value

    def tokens(self, key: str) -> int | list[int] | None:
        value = self.get(key)
        items = value if isinstance(value, list) else [] if value is None else [value]
        for item in items:
            if isinstance(item, bool) or not isinstance(item, int) or not 0 <= item <= _LARGEST:
                raise self.error(key, f"must be null, a token or a list of tokens from 0 to {_LARGEST}")
        return value
