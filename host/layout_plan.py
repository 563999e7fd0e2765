"""What a model's compiled form is made of: checks against an instance, the sections of the weight stream, the empty program."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from terntable.host.descriptors import LayerScales, move_descriptors, pass_descriptors
from terntable.host.program import ModelShape, Program, ProgramError
from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.layout import (
    KvLayout,
    gamma_words,
    head_words,
    matmul_words,
    rope_stride,
    shortlist_outputs,
    shortlist_words,
)
from terntable.hw.spec.program import VecMode
from terntable.quant.beats import BeatGeometry
from terntable.quant.checkpoint import BitNetConfig

__all__ = ["ACTIVATIONS", "Section", "build_program", "check_model", "geometry", "kv_layout", "sections"]

ACTIVATIONS = {"relu2": VecMode.GLU_RELU2, "silu": VecMode.GLU_SILU}


@dataclass(frozen=True)
class Section:
    """A run of words of the weight stream.

    Attributes
    ----------
    kind : "gamma" (binary32 norm weights), "matrix" (ternary), "head" (INT8 rows) or "shortlist" (ternary rows and their binary32
        scales).
    layer : its layer; the number of layers for what comes after them.
    part : what it holds, in the words of :class:`terntable.quant.checkpoint.Layer`; "qkv" and "gate_up" are merged matrices.
    outputs, inputs : shape; outputs is 0 for norm weights, the vocabulary for head and shortlist.
    first, words : place in the stream.

    """

    kind: str
    layer: int
    part: str
    outputs: int
    inputs: int
    first: int
    words: int


def geometry(config: HardwareConfig) -> BeatGeometry:
    """How an instance's engine consumes a matrix."""
    return BeatGeometry(word_bytes=config.word_bytes, outputs=config.outputs, block_outputs=config.block_outputs)


def kv_layout(model: BitNetConfig, config: HardwareConfig, context: int) -> KvLayout:
    """The KV cache of one sequence."""
    return KvLayout(layers=model.num_hidden_layers, heads=model.num_attention_heads, kv_heads=model.num_key_value_heads,
                    head_dim=model.head_dim, context=context, beat_bytes=config.beat_bytes, port_bytes=config.port_bytes)


def sections(model: BitNetConfig, config: HardwareConfig, *, shortlist: bool = False) -> list[Section]:
    """The whole weight stream in the order in which a pass consumes it: the head is last, or the shortlist behind it."""
    hidden, inner = model.hidden_size, model.intermediate_size
    width = model.num_attention_heads * model.head_dim
    layer_parts = (
        ("gamma", "input_norm", 0, hidden), ("matrix", "qkv", width + 2 * model.num_key_value_heads * model.head_dim, hidden),
        ("gamma", "attn_sub_norm", 0, width), ("matrix", "o", hidden, width), ("gamma", "post_norm", 0, hidden),
        ("matrix", "gate_up", 2 * inner, hidden), ("gamma", "ffn_sub_norm", 0, inner), ("matrix", "down", hidden, inner),
    )
    layers = model.num_hidden_layers
    parts = [(layer, *part) for layer in range(layers) for part in layer_parts]
    parts += [(layers, "gamma", "final_norm", 0, hidden), (layers, "head", "head", model.vocab_size, hidden)]
    parts += [(layers, "shortlist", "shortlist", model.vocab_size, hidden)] * shortlist
    sizes = {"gamma": lambda outputs, inputs: gamma_words(inputs, config),
             "matrix": lambda outputs, inputs: matmul_words(inputs, outputs, config),
             "head": lambda outputs, inputs: head_words(inputs, outputs, config),
             "shortlist": lambda outputs, inputs: shortlist_words(inputs, outputs, config)}
    result, first = [], 0
    for layer, kind, part, outputs, inputs in parts:
        words = sizes[kind](outputs, inputs)
        result.append(Section(kind, layer, part, outputs, inputs, first, words))
        first += words
    return result


def build_program(model: BitNetConfig, config: HardwareConfig, *, name: str, context: int, scales: list[LayerScales],
                  stream: NDArray[np.uint8], embed: NDArray[np.uint8], tokenizer: bytes = b"", shortlist: bool = False) -> Program:
    """A program around a filled weight stream (bytes) and embedding table."""
    parts = sections(model, config, shortlist=shortlist)
    (head,) = (part for part in parts if part.kind == "head")
    candidates = matmul_words(model.hidden_size, shortlist_outputs(model.vocab_size, config), config) if shortlist else 0
    kv = kv_layout(model, config, context)
    matrices = [part for part in parts if part.kind == "matrix"]
    weights = sum(part.outputs * part.inputs for part in matrices)
    eos = model.eos_token_id
    return Program(
        config=config,
        shape=ModelShape(
            name=name, hidden=model.hidden_size, intermediate=model.intermediate_size, layers=model.num_hidden_layers,
            heads=model.num_attention_heads, kv_heads=model.num_key_value_heads, head_dim=model.head_dim,
            vocab=model.vocab_size, context=context, parameters=weights + model.vocab_size * model.hidden_size,
            bos=model.bos_token_id if isinstance(model.bos_token_id, int) else None,
            eos=() if eos is None else (eos,) if isinstance(eos, int) else tuple(eos)),
        stream_words=head.first, head_words=head.words, shortlist_words=candidates, weights=weights,
        stored=5 * config.word_bytes * sum(part.words for part in matrices),
        program=pass_descriptors(config=config, kv=kv, hidden=model.hidden_size, intermediate=model.intermediate_size,
                                 vocab=model.vocab_size, epsilon=model.rms_norm_eps, activation=ACTIVATIONS[model.hidden_act],
                                 scales=scales, shortlist=shortlist),
        moves=move_descriptors(kv), stream=stream, embed=embed, rope=_rotary(context, model.head_dim, model.rope_theta, config),
        tokenizer=np.frombuffer(tokenizer, np.uint8),
    )


def check_model(model: BitNetConfig, config: HardwareConfig, context: int) -> None:
    """ProgramError that names the number which an instance cannot hold."""
    width, dim = model.num_attention_heads * model.head_dim, model.head_dim
    columns = width + 2 * model.num_key_value_heads * dim
    kv = kv_layout(model, config, context)
    limits = (
        ("hidden size", model.hidden_size, config.max_hidden), ("attention width", width, config.max_hidden),
        ("intermediate size", model.intermediate_size, config.max_intermediate),
        ("attention width and one head of work space", width + dim, config.max_activations),
        ("attention heads", model.num_attention_heads, config.max_heads),
        ("key-value heads", model.num_key_value_heads, config.max_kv_heads), ("head dimension", dim, config.max_head_dim),
        ("padded query columns", kv.records * kv.group * kv.query_columns, config.max_query),
        ("query, key and value columns", columns, config.max_qkv),
        ("vocabulary", model.vocab_size, config.max_vocab), ("context", context, config.max_context),
    )
    for what, value, limit in limits:
        if value > limit:
            raise ProgramError(f"the model's {what} is {value}, but preset {config.name} holds {limit}")
    if not 1 <= context <= model.max_position_embeddings:
        raise ProgramError(f"a context of {context} is outside 1 to {model.max_position_embeddings}, "
                           "what the model has positions for")
    for what, value, step in (("hidden size", model.hidden_size, config.lanes), ("head dimension", dim, config.lanes),
                              ("intermediate size", model.intermediate_size, config.lanes),
                              ("hidden size", model.hidden_size, config.outputs),
                              ("doubled intermediate size", 2 * model.intermediate_size, config.outputs),
                              ("query, key and value columns", columns, config.outputs)):
        if value % step:
            raise ProgramError(f"the model's {what} is {value}, but preset {config.name} needs a multiple of {step}")
    if model.hidden_act not in ACTIVATIONS:
        raise ProgramError(f"the model's activation is {model.hidden_act!r}, "
                           f"but preset {config.name} computes {', '.join(ACTIVATIONS)}")


def _rotary(positions: int, dim: int, theta: float, config: HardwareConfig) -> NDArray[np.uint8]:
    """(cosine, sine) of position x frequency, the angle rounded to binary32 as the reference has it."""
    frequency = (1.0 / theta ** (np.arange(0, dim, 2, dtype=np.float32) / np.float32(dim))).astype(np.float32)
    angle = (np.arange(positions, dtype=np.float32)[:, None] * frequency).astype(np.float64)
    table = np.zeros((positions, rope_stride(dim, config) // 4), np.float32)
    table[:, 0:dim:2], table[:, 1:dim:2] = np.cos(angle), np.sin(angle)
    return table.view(np.uint8).ravel()
