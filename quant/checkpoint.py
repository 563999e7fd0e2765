"""What a reader of published checkpoints returns: configuration, ternary layers, float tables."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["BitNetConfig", "Checkpoint", "CheckpointError", "Layer", "TernaryMatrix"]


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged or of a kind that is not read; the sentence names file and value."""


@dataclass(frozen=True)
class BitNetConfig:
    """Sizes and constants of a BitNet model, in the words of Hugging Face's ``config.json``."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    max_position_embeddings: int
    rope_theta: float
    rms_norm_eps: float
    hidden_act: str
    tie_word_embeddings: bool
    bos_token_id: int | list[int] | None
    eos_token_id: int | list[int] | None


@dataclass(frozen=True, eq=False)
class TernaryMatrix:
    """Weights ``codes * scale``: int8 codes ``(out, in)`` in -1..1, one positive finite float32 scale."""

    codes: NDArray[np.int8]
    scale: np.float32


@dataclass(frozen=True, eq=False)
class Layer:
    """One decoder layer; norms are float32.

    ``input_norm``, ``attn_sub_norm`` and ``post_norm`` are ``(hidden,)``, ``ffn_sub_norm`` is
    ``(intermediate,)``.
    """

    q: TernaryMatrix
    k: TernaryMatrix
    v: TernaryMatrix
    o: TernaryMatrix
    gate: TernaryMatrix
    up: TernaryMatrix
    down: TernaryMatrix
    input_norm: NDArray[np.float32]
    attn_sub_norm: NDArray[np.float32]
    post_norm: NDArray[np.float32]
    ffn_sub_norm: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A whole model.

    ``embedding`` and ``head`` are ``(vocab, hidden)``, float16 where the file holds float16, else float32;
    ``head`` is None if the embedding serves as head. ``final_norm`` is float32 ``(hidden,)``.
    """

    config: BitNetConfig
    embedding: NDArray[np.floating]
    final_norm: NDArray[np.float32]
    layers: list[Layer]
    head: NDArray[np.floating] | None = None
