"""Compiles a checkpoint for a hardware configuration: descriptors, weight stream, embedding and rotary tables."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from terntable.host.descriptors import LayerScales, move_descriptors, pass_descriptors
from terntable.host.program import ModelShape, Program, ProgramError
from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.layout import KvLayout, embed_stride, head_block, rope_stride, round_up
from terntable.hw.spec.program import VecMode
from terntable.quant.beats import BeatGeometry, pack_matrix
from terntable.quant.checkpoint import BitNetConfig, Checkpoint, Layer
from terntable.quant.huggingface import read_checkpoint
from terntable.quant.int8 import rows_int8

__all__ = ["compile_checkpoint", "compile_directory"]

ACTIVATIONS = {"relu2": VecMode.RELU2}


def compile_directory(path: Path, config: HardwareConfig, *, name: str | None = None, context: int | None = None) -> Program:
    """Compile a Hugging Face BitNet directory; CheckpointError or ProgramError name what is wrong.

    `context` limits the KV slots; the default is the most that model and configuration hold.
    """
    tokenizer = path / "tokenizer.json"
    text = tokenizer.read_bytes() if tokenizer.is_file() else b""
    return compile_checkpoint(read_checkpoint(path), config, name=name or path.name, context=context, tokenizer=text)


def compile_checkpoint(checkpoint: Checkpoint, config: HardwareConfig, *, name: str, context: int | None = None,
                       tokenizer: bytes = b"") -> Program:
    """Compile a checkpoint in memory; ProgramError names the number that does not fit."""
    model = checkpoint.config
    slots = min(model.max_position_embeddings, config.max_context) if context is None else context
    _check(model, config, slots)
    kv = KvLayout(model.num_hidden_layers, model.num_key_value_heads, model.head_dim, slots, config.beat_bytes)
    geometry = BeatGeometry(beat_bytes=config.beat_bytes, outputs=config.lanes)
    body, weights, stored = [], 0, 0
    for layer in checkpoint.layers:
        for part in _layer_stream(layer, model):
            if part.dtype == np.float32:
                body.append(_gamma(part, config))
                continue
            packed, padding = pack_matrix(part, geometry)
            weights, stored = weights + padding.weights, stored + padding.stored
            body.append(packed.ravel())
    body.append(_gamma(checkpoint.final_norm, config))
    embedding = np.asarray(checkpoint.embedding)
    head = _head(embedding if checkpoint.head is None else np.asarray(checkpoint.head), config)
    stream = np.concatenate([*body, head])
    eos = model.eos_token_id
    return Program(
        config=config,
        shape=ModelShape(
            name=name, hidden=model.hidden_size, intermediate=model.intermediate_size, layers=model.num_hidden_layers,
            heads=model.num_attention_heads, kv_heads=model.num_key_value_heads, head_dim=model.head_dim,
            vocab=model.vocab_size, context=slots, parameters=weights + embedding.size,
            bos=model.bos_token_id if isinstance(model.bos_token_id, int) else None,
            eos=() if eos is None else (eos,) if isinstance(eos, int) else tuple(eos)),
        stream_beats=(stream.size - head.size) // config.beat_bytes, head_beats=head.size // config.beat_bytes,
        weights=weights, stored=stored,
        program=pass_descriptors(
            config=config, kv=kv, hidden=model.hidden_size, intermediate=model.intermediate_size,
            heads=model.num_attention_heads, vocab=model.vocab_size, epsilon=model.rms_norm_eps,
            activation=ACTIVATIONS[model.hidden_act],
            scales=[LayerScales(**{part: float(getattr(layer, part).scale)
                                   for part in ("q", "k", "v", "o", "gate", "up", "down")}) for layer in checkpoint.layers]),
        moves=move_descriptors(kv), stream=stream, embed=_embedding(embedding, config),
        rope=_rotary(slots, model.head_dim, model.rope_theta, config), tokenizer=np.frombuffer(tokenizer, np.uint8),
    )


def _check(model: BitNetConfig, config: HardwareConfig, slots: int) -> None:
    columns = (model.num_attention_heads + 2 * model.num_key_value_heads) * model.head_dim
    limits = (
        ("hidden size", model.hidden_size, config.max_hidden), ("attention width", model.num_attention_heads * model.head_dim,
                                                                config.max_hidden),
        ("intermediate size", model.intermediate_size, config.max_intermediate),
        ("attention heads", model.num_attention_heads, config.max_heads),
        ("key-value heads", model.num_key_value_heads, config.max_kv_heads),
        ("query heads per key-value head", model.num_attention_heads // model.num_key_value_heads, config.max_group),
        ("head dimension", model.head_dim, config.max_head_dim), ("query, key and value columns", columns, config.max_qkv),
        ("vocabulary", model.vocab_size, config.max_vocab), ("context", slots, config.max_context),
    )
    for what, value, limit in limits:
        if value > limit:
            raise ProgramError(f"the model's {what} is {value}, but preset {config.name} holds {limit}")
    if not 1 <= slots <= model.max_position_embeddings:
        raise ProgramError(f"a context of {slots} is outside 1 to {model.max_position_embeddings}, "
                           "what the model has positions for")
    for what, value in (("hidden size", model.hidden_size), ("intermediate size", model.intermediate_size),
                        ("head dimension", model.head_dim)):
        if value % config.lanes:
            raise ProgramError(f"the model's {what} is {value}, but preset {config.name} needs a multiple of {config.lanes}")
    if model.hidden_act not in ACTIVATIONS:
        raise ProgramError(f"the model's activation is {model.hidden_act!r}, "
                           f"but preset {config.name} computes {', '.join(ACTIVATIONS)}")


def _layer_stream(layer: Layer, model: BitNetConfig) -> list[NDArray]:
    """Norm weights (float32) and matrices (int8 codes) in the order in which a pass consumes them."""
    queries = _pair(layer.q.codes, model.num_attention_heads)
    keys = _pair(layer.k.codes, model.num_key_value_heads)
    return [layer.input_norm, np.concatenate([queries, keys, layer.v.codes]), layer.attn_sub_norm, layer.o.codes,
            layer.post_norm, np.concatenate([layer.gate.codes, layer.up.codes]), layer.ffn_sub_norm, layer.down.codes]


def _pair(codes: NDArray[np.int8], heads: int) -> NDArray[np.int8]:
    """Reorder each head's outputs so that the two halves of a rotary pair are adjacent: 2t <- t, 2t + 1 <- t + d / 2."""
    split = codes.reshape(heads, 2, -1, codes.shape[1])
    return split.swapaxes(1, 2).reshape(codes.shape)


def _gamma(values: NDArray[np.float32], config: HardwareConfig) -> NDArray[np.uint8]:
    raw = np.ascontiguousarray(values, np.float32).view(np.uint8)
    return np.pad(raw, (0, round_up(raw.size, config.beat_bytes) - raw.size))


def _head(weight: NDArray, config: HardwareConfig) -> NDArray[np.uint8]:
    """INT8 rows in blocks: a beat of scales, then the block's rows, each padded to whole beats."""
    codes, scale = rows_int8(weight.astype(np.float32))
    block = head_block(config)
    vocab, hidden = codes.shape
    rows = np.zeros((round_up(vocab, block), round_up(hidden, config.beat_bytes)), np.int8)
    rows[:vocab, :hidden] = codes
    scales = np.zeros(len(rows), np.float32)
    scales[:vocab] = scale
    blocks = len(rows) // block
    return np.concatenate([scales.view(np.uint8).reshape(blocks, -1), rows.view(np.uint8).reshape(blocks, -1)], axis=1).ravel()


def _embedding(weight: NDArray, config: HardwareConfig) -> NDArray[np.uint8]:
    table = np.zeros((len(weight), embed_stride(weight.shape[1], config) // 2), np.float16)
    with np.errstate(over="ignore"):
        table[:, :weight.shape[1]] = weight.astype(np.float16)
    if not np.isfinite(table).all():
        raise ProgramError(f"an embedding value of magnitude {np.abs(weight).max():.3g} does not fit FP16's 65504")
    return table.view(np.uint8).ravel()


def _rotary(positions: int, dim: int, theta: float, config: HardwareConfig) -> NDArray[np.uint8]:
    """(cosine, sine) of position x frequency, the angle rounded to binary32 as the reference has it."""
    frequency = (1.0 / theta ** (np.arange(0, dim, 2, dtype=np.float32) / np.float32(dim))).astype(np.float32)
    angle = (np.arange(positions, dtype=np.float32)[:, None] * frequency).astype(np.float64)
    table = np.zeros((positions, rope_stride(dim, config) // 4), np.float32)
    table[:, 0:dim:2], table[:, 1:dim:2] = np.cos(angle), np.sin(angle)
    return table.view(np.uint8).ravel()
