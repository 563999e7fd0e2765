"""Where things lie in DDR: strides and regions, in bytes. One home for every layout both sides must agree on."""

from dataclasses import dataclass

from terntable.hw.spec.config import HardwareConfig

__all__ = ["KvLayout", "beats", "embed_stride", "gamma_beats", "head_beats", "head_block", "logits_stride", "matmul_beats",
           "result_stride", "rope_stride", "round_up"]

#: A key record ends with the key's and the value's scale, two binary32 numbers.
KEY_SCALE_BYTES = 8


def round_up(value: int, step: int) -> int:
    """`value` rounded up to a multiple of `step`."""
    return -(-value // step) * step


def beats(count: int, config: HardwareConfig) -> int:
    """Beats that hold `count` bytes."""
    return -(-count // config.beat_bytes)


def embed_stride(hidden: int, config: HardwareConfig) -> int:
    """Bytes from one FP16 embedding row to the next."""
    return round_up(2 * hidden, config.beat_bytes)


def rope_stride(head_dim: int, config: HardwareConfig) -> int:
    """Bytes of one position's (cosine, sine) binary32 pairs, head_dim / 2 of them."""
    return round_up(4 * head_dim, config.beat_bytes)


def result_stride(config: HardwareConfig) -> int:
    """Bytes from one row's top-k result to the next row's."""
    return round_up(8 * config.top_k, config.beat_bytes)


def head_block(config: HardwareConfig) -> int:
    """Vocabulary rows that share one beat of scales."""
    return config.beat_bytes // 4


def logits_stride(vocab: int, config: HardwareConfig) -> int:
    """Bytes from one row's logits to the next row's; the vocabulary is padded to whole head blocks."""
    return 4 * round_up(vocab, head_block(config))


def gamma_beats(columns: int, config: HardwareConfig) -> int:
    """Stream beats of a norm's binary32 weights."""
    return beats(4 * columns, config)


def matmul_beats(inputs: int, outputs: int, config: HardwareConfig) -> int:
    """Stream beats of a ternary matrix: for each tile of inputs, a beat for every `lanes` outputs."""
    return -(-inputs // config.tile_inputs) * -(-outputs // config.lanes)


def head_beats(hidden: int, vocab: int, config: HardwareConfig) -> int:
    """Stream beats of the INT8 head: blocks of one beat of scales and `head_block` rows of weights."""
    block = head_block(config)
    return -(-vocab // block) * (1 + block * beats(hidden, config))


@dataclass(frozen=True)
class KvLayout:
    """The KV cache of one sequence: per layer and key-value head, a region of keys, then one of values.

    A key record is the INT8 key padded to whole beats, then the key's and the value's dequantisation scales (binary32), padded
    to whole beats. A value record is the INT8 value padded to whole beats. Records of consecutive slots are adjacent.
    """

    layers: int
    kv_heads: int
    head_dim: int
    context: int
    beat_bytes: int

    @property
    def padded_dim(self) -> int:
        """Bytes of a key or a value, padded to whole beats."""
        return round_up(self.head_dim, self.beat_bytes)

    @property
    def key_record(self) -> int:
        """Bytes of one slot in a key region."""
        return self.padded_dim + round_up(KEY_SCALE_BYTES, self.beat_bytes)

    @property
    def value_record(self) -> int:
        """Bytes of one slot in a value region."""
        return self.padded_dim

    @property
    def head_bytes(self) -> int:
        """Bytes of one key-value head of one layer."""
        return self.context * (self.key_record + self.value_record)

    @property
    def total_bytes(self) -> int:
        """Bytes of the whole cache."""
        return self.layers * self.kv_heads * self.head_bytes

    def key_offset(self, layer: int, head: int) -> int:
        """Byte offset of a key region from the cache's base."""
        return (layer * self.kv_heads + head) * self.head_bytes

    def value_offset(self, layer: int, head: int) -> int:
        """Byte offset of a value region from the cache's base."""
        return self.key_offset(layer, head) + self.context * self.key_record
