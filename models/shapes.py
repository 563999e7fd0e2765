"""Shapes of models without their weights: named ones, and any that a user gives as text."""

from dataclasses import dataclass, fields
from typing import Any

from terntable.quant.checkpoint import BitNetConfig

__all__ = ["SHAPES", "Geometry", "parameters", "parse_geometry", "ternary_weights"]

ACTIVATIONS = ("silu", "relu2")
_LARGEST = 2**24
#: What a user may leave out because other sizes give it.
_DERIVED = ("kv_heads", "head_dim")


@dataclass(frozen=True, kw_only=True)
class Geometry:
    """Sizes and constants of a BitNet model.

    Attributes
    ----------
    hidden, intermediate : columns of the residual stream, and between the MLP's projections.
    layers, heads, kv_heads, head_dim : decoder layers; query heads, key-value heads and the columns of one; heads x head_dim
        is `hidden`, the width of the norm before the output projection.
    vocab, context : tokens of the vocabulary; positions.
    act : activation of the gate, "silu" or "relu2" (squared ReLU).
    tied : whether the embedding serves as head; a head of its own adds parameters, but is read from the same stream.
    theta, eps : base of the rotary positions; what a norm adds to the mean square.

    """

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    act: str
    context: int
    tied: bool = True
    theta: float = 10000.0
    eps: float = 1e-5
    name: str = "custom"

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is int and (type(value) is not int or not 1 <= value <= _LARGEST):
                raise ValueError(f"{field.name} is {value!r}, but must be an integer from 1 to {_LARGEST}")
            if field.type is float and (type(value) not in (int, float) or not 1e-37 <= value <= 1e37):
                raise ValueError(f"{field.name} is {value!r}, but must be a number from 1e-37 to 1e37")
        if self.act not in ACTIVATIONS:
            raise ValueError(f"act is {self.act!r}, but must be {' or '.join(ACTIVATIONS)}")
        if type(self.tied) is not bool:
            raise ValueError(f"tied is {self.tied!r}, but must be true or false")
        if self.heads % self.kv_heads:
            raise ValueError(f"kv_heads is {self.kv_heads}, but must divide heads, {self.heads}")
        if self.heads * self.head_dim != self.hidden:
            raise ValueError(f"hidden is {self.hidden}, but must be heads x head_dim, {self.heads} x {self.head_dim}")
        if self.head_dim % 2:
            raise ValueError(f"head_dim is {self.head_dim}, but rotary positions need an even number")

    @property
    def qkv(self) -> int:
        """Query, key and value columns together."""
        return (self.heads + 2 * self.kv_heads) * self.head_dim

    def bitnet_config(self) -> BitNetConfig:
        """The same model in the words of a checkpoint, without special tokens."""
        return BitNetConfig(
            hidden_size=self.hidden, intermediate_size=self.intermediate, num_hidden_layers=self.layers,
            num_attention_heads=self.heads, num_key_value_heads=self.kv_heads, head_dim=self.head_dim, vocab_size=self.vocab,
            max_position_embeddings=self.context, rope_theta=self.theta, rms_norm_eps=self.eps, hidden_act=self.act,
            tie_word_embeddings=self.tied, bos_token_id=None, eos_token_id=None)


def ternary_weights(geometry: Geometry) -> int:
    """Ternary weights of all layers: query, key, value and output projections, and the three of the MLP."""
    attention = (geometry.qkv + geometry.hidden) * geometry.hidden
    return geometry.layers * (attention + 3 * geometry.hidden * geometry.intermediate)


def parameters(geometry: Geometry) -> int:
    """All weights: ternary ones, norms, embedding, and a head that is not tied to it."""
    norms = geometry.layers * (3 * geometry.hidden + geometry.intermediate) + geometry.hidden
    tables = (1 if geometry.tied else 2) * geometry.vocab * geometry.hidden
    return ternary_weights(geometry) + norms + tables


#: 1bitLLM/bitnet_b1_58-large, microsoft/bitnet-b1.58-2B-4T, and the model that Terntable ships.
SHAPES = {
    shape.name: shape
    for shape in (
        Geometry(name="bitnet-0.73b", hidden=1536, intermediate=4096, layers=24, heads=16, kv_heads=16, head_dim=96, vocab=32002,
                 act="silu", context=2048),
        Geometry(name="bitnet-2b-4t", hidden=2560, intermediate=6912, layers=30, heads=20, kv_heads=5, head_dim=128, vocab=128256,
                 act="relu2", context=4096, theta=500000.0),
        Geometry(name="kjv", hidden=256, intermediate=768, layers=6, heads=4, kv_heads=2, head_dim=64, vocab=2048, act="relu2",
                 context=512),
    )
}


def parse_geometry(text: str) -> Geometry:
    """The geometry that `text` names or spells out, as in ``hidden=256,intermediate=768,layers=6,...``.

    Without `kv_heads` every head has its own keys, without `head_dim` the heads share `hidden`. Raises ``ValueError``, in one
    sentence that quotes what is wrong, for an unknown name or key, a value that does not read, and sizes that do not fit together.
    """
    if "=" not in text:
        if text in SHAPES:
            return SHAPES[text]
        raise ValueError(f"unknown shape {text!r}; known: {', '.join(SHAPES)}, or key=value pairs such as hidden=256,layers=6")
    kinds: dict[str, Any] = {field.name: field.type for field in fields(Geometry) if field.name != "name"}
    values: dict[str, Any] = {}
    for pair in text.split(","):
        key, separator, value = (piece.strip() for piece in pair.partition("="))
        if not separator or key not in kinds:
            raise ValueError(f"{pair.strip()!r} in the shape is not key=value with a known key: {', '.join(kinds)}")
        if key in values:
            raise ValueError(f"{key} is given twice in the shape {text!r}")
        values[key] = _value(key, value, kinds[key])
    missing = [name for name in kinds if name not in (*_DERIVED, "tied", "theta", "eps", *values)]
    if missing:
        raise ValueError(f"the shape {text!r} lacks {', '.join(missing)}")
    derived = dict(zip(_DERIVED, (values["heads"], values["hidden"] // max(values["heads"], 1)), strict=True))
    return Geometry(**derived | values)


def _value(key: str, text: str, kind: type) -> object:
    if kind is str:
        return text
    if kind is bool:
        if text not in ("true", "false"):
            raise ValueError(f"{key} is {text!r} in the shape, but must be true or false")
        return text == "true"
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{key} is {text!r} in the shape, but must be "
                         f"{'an integer' if kind is int else 'a number'}") from None
