"""Reader of Hugging Face BitNet directories, without torch or transformers.

The tensor names are Microsoft's or those of the 1bitLLM family. Two layouts of the linear layers are read:
latent float weights, and ternary codes with a scale, either four to a byte or, as a loaded model is saved
again, as float values -1, 0 and 1.
"""

import os
import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from terntable.quant.checkpoint import (
    BitNetConfig,
    Checkpoint,
    CheckpointError,
    Layer,
    TernaryMatrix,
)
from terntable.quant.checksums import verify_checksums, write_checksums
from terntable.quant.families import Family
from terntable.quant.huggingface_config import WeightLayout, read_config, read_family, read_layout
from terntable.quant.places import first_place
from terntable.quant.tensors import TensorStore
from terntable.quant.ternary import absmean_ternary

__all__ = ["BitNetConfig", "Checkpoint", "CheckpointError", "Layer", "TernaryMatrix", "read_checkpoint",
           "read_config", "unpack_rows", "write_checksums"]

_EMBEDDING = "model.embed_tokens.weight"
_FINAL_NORM = "model.norm.weight"
_HEAD = "lm_head.weight"
_PROJECTIONS = tuple(f"self_attn.{name}_proj" for name in "qkvo") + tuple(
    f"mlp.{name}_proj" for name in ("gate", "up", "down"))
_LAYER_TENSOR = re.compile(r"model\.layers\.(0|[1-9]\d{0,8})\.(.+)")
_CODES_PER_BYTE = 4


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read the BitNet model in the directory ``path``.

    If the directory has a ``SHA256SUMS``, every file that it lists is verified first. Without it a flipped
    bit is seen only where it makes an impossible value.

    Raises :class:`CheckpointError`, in a sentence that names the file, the tensor, the wrong value and the
    limit, for anything missing, malformed, of a wrong shape or type, out of range, or not part of the model.
    """
    verify_checksums(path)
    config = read_config(path)
    family, layout = read_family(path), read_layout(path)
    store = TensorStore(path)
    _refuse_unexpected(store, config, family, layout)
    embedding = store.read_floats(_EMBEDDING, (config.vocab_size, config.hidden_size))
    return Checkpoint(
        config=config,
        embedding=embedding,
        final_norm=_norm(store, _FINAL_NORM, config.hidden_size),
        layers=[_layer(store, config, family, layout, index) for index in range(config.num_hidden_layers)],
        head=_head(store, config, embedding),
    )


def unpack_rows(packed: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Unpack Hugging Face's two-bit codes: uint8 ``(R, in)`` to int8 ``(4R, in)``.

    Bits 2i and 2i+1 of row r hold row ``r + i * R``, plus one. Raises ``ValueError`` for the bit pair 3,
    which is no code; the sentence gives its byte and index.
    """
    bad = packed & (packed >> 1) & 0x55
    if bad.any():
        place = first_place(bad != 0)
        raise ValueError(f"holds the byte {packed[place]} at index {place}, "
                         "but each two bits must be 0, 1 or 2")
    rows = packed.shape[0]
    codes = np.empty((_CODES_PER_BYTE * rows, *packed.shape[1:]), np.int8)
    for part in range(_CODES_PER_BYTE):
        codes[part * rows:(part + 1) * rows] = (packed >> (2 * part)) & 3
    codes -= 1
    return codes


def _layer(store: TensorStore, config: BitNetConfig, family: Family, layout: WeightLayout, index: int) -> Layer:
    hidden, inner = config.hidden_size, config.intermediate_size
    kv = config.num_key_value_heads * config.head_dim
    prefix = f"model.layers.{index}."
    read = _READERS[layout]

    def matrix(name: str, rows: int, columns: int) -> TernaryMatrix:
        return read(store, f"{prefix}{name}.weight", (rows, columns))

    def norm(name: str, size: int) -> NDArray[np.float32]:
        return _norm(store, f"{prefix}{name}.weight", size)

    return Layer(
        q=matrix("self_attn.q_proj", hidden, hidden),
        k=matrix("self_attn.k_proj", kv, hidden),
        v=matrix("self_attn.v_proj", kv, hidden),
        o=matrix("self_attn.o_proj", hidden, hidden),
        gate=matrix("mlp.gate_proj", inner, hidden),
        up=matrix("mlp.up_proj", inner, hidden),
        down=matrix("mlp.down_proj", hidden, inner),
        input_norm=norm("input_layernorm", hidden),
        attn_sub_norm=norm(family.attn_sub_norm, hidden),
        post_norm=norm("post_attention_layernorm", hidden),
        ffn_sub_norm=norm(family.ffn_sub_norm, inner),
    )


def _latent(store: TensorStore, name: str, shape: tuple[int, int]) -> TernaryMatrix:
    return TernaryMatrix(*absmean_ternary(store.read_floats(name, shape)))


def _divided(store: TensorStore, name: str, shape: tuple[int, int]) -> TernaryMatrix:
    """Codes four to a byte, and a scale that divides; no other form exists for this class of layer."""
    return TernaryMatrix(_packed(store, name, shape), _scale(store, name, divides=True))


def _multiplied(store: TensorStore, name: str, shape: tuple[int, int]) -> TernaryMatrix:
    """Codes four to a byte or as floats, and a scale that multiplies."""
    scale = _scale(store, name, divides=False)
    if store.dtype(name) == "U8":
        return TernaryMatrix(_packed(store, name, shape), scale)
    values = store.read_floats(name, shape)
    codes = np.clip(values, -1, 1).astype(np.int8)
    wrong = codes != values
    if wrong.any():
        place = first_place(wrong)
        raise CheckpointError(f"{store.file(name)}: tensor {name!r} holds {values[place]} at index {place}, "
                              "but the quantization_mode 'offline' allows only -1, 0 and 1")
    return TernaryMatrix(codes, scale)


_READERS: dict[WeightLayout, Callable[[TensorStore, str, tuple[int, int]], TernaryMatrix]] = {
    WeightLayout.LATENT: _latent,
    WeightLayout.MULTIPLIED: _multiplied,
    WeightLayout.DIVIDED: _divided,
}


def _packed(store: TensorStore, name: str, shape: tuple[int, int]) -> NDArray[np.int8]:
    rows, columns = shape
    if rows % _CODES_PER_BYTE:
        raise CheckpointError(f"{store.file(name)}: tensor {name!r} is packed, but its {rows} rows are "
                              f"no multiple of {_CODES_PER_BYTE}")
    packed = store.read_bytes(name, (rows // _CODES_PER_BYTE, columns))
    try:
        return unpack_rows(packed)
    except ValueError as error:
        raise CheckpointError(f"{store.file(name)}: tensor {name!r} {error}") from error


def _scale(store: TensorStore, name: str, *, divides: bool) -> np.float32:
    """Read the scale beside the weight ``name`` as the factor that multiplies its codes."""
    name = f"{name}_scale"
    # transformers writes one element; a scalar means the same.
    shape = () if store.shape(name) == () else (1,)
    value = np.float32(store.read_floats(name, shape).reshape(-1)[0])
    with np.errstate(divide="ignore", over="ignore"):
        scale = np.float32(1.0) / value if divides else value
    if not (value > 0 and scale > 0 and np.isfinite(scale)):
        raise CheckpointError(f"{store.file(name)}: tensor {name!r} is {value}, "
                              "but must be positive with a finite scale")
    return scale


def _norm(store: TensorStore, name: str, size: int) -> NDArray[np.float32]:
    return store.read_floats(name, (size,)).astype(np.float32, copy=False)


def _head(store: TensorStore, config: BitNetConfig, embedding: NDArray) -> NDArray | None:
    """Read the separate head; a tied one may be stored again, but must then be equal."""
    if config.tie_word_embeddings and _HEAD not in store.names:
        return None
    head = store.read_floats(_HEAD, (config.vocab_size, config.hidden_size))
    if not config.tie_word_embeddings:
        return head
    if not np.array_equal(head, embedding):
        raise CheckpointError(f"{store.file(_HEAD)}: tensor {_HEAD!r} differs from {_EMBEDDING!r}, "
                              "but tie_word_embeddings is true")
    return None


def _refuse_unexpected(store: TensorStore, config: BitNetConfig, family: Family, layout: WeightLayout) -> None:
    """Refuse a tensor without a place in the model: leaving out a bias or a layer would change its output."""
    known = {f"{name}.weight" for name in (*_PROJECTIONS, *family.norms)}
    if layout is not WeightLayout.LATENT:
        known |= {f"{name}.weight_scale" for name in _PROJECTIONS}
    for name in store.names:
        match = _LAYER_TENSOR.fullmatch(name)
        in_layer = match is not None and int(match[1]) < config.num_hidden_layers and match[2] in known
        # Old files carry the rotary table, which the configuration determines.
        if not (in_layer or name in (_EMBEDDING, _FINAL_NORM, _HEAD) or name.endswith("rotary_emb.inv_freq")):
            raise CheckpointError(f"{store.file(name)}: tensor {name!r} has no place in a {family.title} model with "
                                  f"{config.num_hidden_layers} layers whose config.json says {layout.value}")
