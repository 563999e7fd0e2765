"""Compiles a checkpoint for a hardware configuration: descriptors, weight stream, embedding and rotary tables."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from terntable.host.descriptors import LayerScales
from terntable.host.layout_plan import Section, build_program, check_model, geometry, kv_layout, sections
from terntable.host.program import Program, ProgramError
from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.layout import embed_stride, head_block, round_up, shortlist_outputs
from terntable.quant.beats import pack_matrix
from terntable.quant.checkpoint import BitNetConfig, Checkpoint, Layer
from terntable.quant.huggingface import read_checkpoint
from terntable.quant.int8 import rows_int8
from terntable.quant.ternary_rows import rows_ternary

__all__ = ["compile_checkpoint", "compile_directory"]


def compile_directory(path: Path, config: HardwareConfig, *, name: str | None = None, context: int | None = None,
                      shortlist: bool = False) -> Program:
    """Compile a Hugging Face BitNet directory; CheckpointError or ProgramError name what is wrong.

    Parameters
    ----------
    context : KV slots; the default is the most that model and configuration hold.
    shortlist : also make what the two-stage head needs.

    """
    tokenizer = path / "tokenizer.json"
    text = tokenizer.read_bytes() if tokenizer.is_file() else b""
    return compile_checkpoint(read_checkpoint(path), config, name=name or path.name, context=context, tokenizer=text,
                              shortlist=shortlist)


def compile_checkpoint(checkpoint: Checkpoint, config: HardwareConfig, *, name: str, context: int | None = None,
                       tokenizer: bytes = b"", shortlist: bool = False) -> Program:
    """Compile a checkpoint in memory; ProgramError names the number that does not fit."""
    model = checkpoint.config
    slots = min(model.max_position_embeddings, config.max_context) if context is None else context
    check_model(model, config, slots)
    parts = sections(model, config, shortlist=shortlist)
    stream = np.zeros(config.word_bytes * (parts[-1].first + parts[-1].words), np.uint8)
    for part in parts:
        content = _content(part, checkpoint, config)
        start = part.first * config.word_bytes
        stream[start:start + content.size] = content
    scales = [LayerScales(**{part: float(getattr(layer, part).scale) for part in ("q", "k", "v", "o", "gate", "up", "down")})
              for layer in checkpoint.layers]
    return build_program(model, config, name=name, context=slots, scales=scales, stream=stream,
                         embed=_embedding(np.asarray(checkpoint.embedding), config), tokenizer=tokenizer, shortlist=shortlist)


def _content(part: Section, checkpoint: Checkpoint, config: HardwareConfig) -> NDArray[np.uint8]:
    """A section's bytes, without the padding of its last word."""
    if part.kind in ("head", "shortlist"):
        weight = np.asarray(checkpoint.embedding if checkpoint.head is None else checkpoint.head)
        return _head(weight, config) if part.kind == "head" else _shortlist(weight, config)
    if part.layer == len(checkpoint.layers):
        return checkpoint.final_norm.astype(np.float32).view(np.uint8)
    layer = checkpoint.layers[part.layer]
    if part.kind == "gamma":
        return getattr(layer, part.part).astype(np.float32).view(np.uint8)
    if part.part == "qkv":
        codes = _queries_keys_values(layer, checkpoint.config, config)
    elif part.part == "gate_up":
        # Adjacent pairs, so that a gate meets its column as the sums leave the engine.
        codes = np.stack([layer.gate.codes, layer.up.codes], axis=1).reshape(part.outputs, part.inputs)
    else:
        codes = getattr(layer, part.part).codes
    return pack_matrix(codes, geometry(config))[0].ravel()


def _queries_keys_values(layer: Layer, model: BitNetConfig, config: HardwareConfig) -> NDArray[np.int8]:
    """Rows in the order in which the element-wise path wants their sums: record by record its queries, keys and values.

    Each head's two rotary halves become adjacent pairs: 2t <- t, 2t + 1 <- t + d / 2.
    """
    kv = kv_layout(model, config, 1)

    def heads(codes: NDArray[np.int8], count: int, *, turned: bool) -> NDArray[np.int8]:
        split = codes.reshape(count, 2, -1, codes.shape[1])
        return (split.swapaxes(1, 2) if turned else split).reshape(kv.records, -1, codes.shape[1])

    parts = [heads(layer.q.codes, kv.heads, turned=True), heads(layer.k.codes, kv.kv_heads, turned=True),
             heads(layer.v.codes, kv.kv_heads, turned=False)]
    return np.concatenate(parts, axis=1).reshape(-1, layer.q.codes.shape[1])


def _head(weight: NDArray, config: HardwareConfig) -> NDArray[np.uint8]:
    """INT8 rows in blocks: the block's scales, then for each wide beat of columns the block's rows."""
    codes, scale = rows_int8(weight.astype(np.float32))
    block, size = head_block(config), config.beat_bytes
    vocab, hidden = codes.shape
    blocks = round_up(vocab, block) // block
    rows = np.zeros((blocks * block, round_up(hidden, size)), np.int8)
    rows[:vocab, :hidden] = codes
    scales = np.zeros(len(rows), np.float32)
    scales[:vocab] = scale
    columns = rows.reshape(blocks, block, -1, size).transpose(0, 2, 1, 3).reshape(blocks, -1)
    return np.concatenate([scales.view(np.uint8).reshape(blocks, -1), columns.view(np.uint8)], axis=1).ravel()


def _shortlist(weight: NDArray, config: HardwareConfig) -> NDArray[np.uint8]:
    """A ternary matrix of the vocabulary, filled up for the engine, and its rows' scales."""
    codes, scale = rows_ternary(weight)
    more = shortlist_outputs(len(codes), config) - len(codes)
    matrix = pack_matrix(np.pad(codes, ((0, more), (0, 0))), geometry(config))[0].ravel()
    return np.concatenate([matrix, np.pad(scale, (0, more)).view(np.uint8)])


def _embedding(weight: NDArray, config: HardwareConfig) -> NDArray[np.uint8]:
    table = np.zeros((len(weight), embed_stride(weight.shape[1], config) // 2), np.float16)
    with np.errstate(over="ignore"):
        table[:, :weight.shape[1]] = weight.astype(np.float16)
    if not np.isfinite(table).all():
        raise ProgramError(f"an embedding value of magnitude {np.abs(weight).max():.3g} does not fit FP16's 65504")
    return table.view(np.uint8).ravel()
