"""Where things lie in DDR: strides and regions, in bytes. One home for every layout both sides must agree on."""

from dataclasses import dataclass

from terntable.hw.spec.config import HardwareConfig
from terntable.quant.base3 import TRITS_PER_BYTE

__all__ = ["FRAME_CELLS", "FRAME_WORDS", "KvLayout", "beats", "embed_stride", "gamma_words", "head_block", "head_words",
           "logits_stride", "matmul_cells", "matmul_words", "result_stride", "rope_stride", "round_up", "shortlist_outputs",
           "shortlist_size", "shortlist_words"]

#: Each byte lane of the weight stream packs the three trits of this many cells into the bytes of FRAME_WORDS words.
FRAME_CELLS, FRAME_WORDS = TRITS_PER_BYTE, 3


def round_up(value: int, step: int) -> int:
    """`value` rounded up to a multiple of `step`."""
    return -(-value // step) * step


def beats(count: int, config: HardwareConfig) -> int:
    """Wide beats that hold `count` bytes."""
    return -(-count // config.beat_bytes)


def embed_stride(hidden: int, config: HardwareConfig) -> int:
    """Bytes from one FP16 embedding row to the next."""
    return round_up(2 * hidden, config.beat_bytes)


def rope_stride(head_dim: int, config: HardwareConfig) -> int:
    """Bytes of one position's (cosine, sine) binary32 pairs, head_dim / 2 of them."""
    return round_up(4 * head_dim, config.beat_bytes)


def result_stride(config: HardwareConfig) -> int:
    """Bytes from one row's top-k result to the next row's."""
    return round_up(8 * config.top_k, config.port_bytes)


def head_block(config: HardwareConfig) -> int:
    """Vocabulary rows that lie together in the head's stream."""
    return config.beat_bytes


def logits_stride(vocab: int, config: HardwareConfig) -> int:
    """Bytes from one row's logits to the next row's; the vocabulary is padded to whole head blocks."""
    return 4 * round_up(vocab, head_block(config))


def gamma_words(columns: int, config: HardwareConfig) -> int:
    """Stream words of a norm's binary32 weights."""
    return -(-4 * columns // config.word_bytes)


def matmul_cells(inputs: int, outputs: int, config: HardwareConfig) -> int:
    """Cells of a ternary matrix with those that fill up the last frame; `outputs` is a multiple of the engine's."""
    cells = -(-inputs // config.tile_inputs) * -(-outputs // config.outputs)
    return round_up(cells, FRAME_CELLS)


def matmul_words(inputs: int, outputs: int, config: HardwareConfig) -> int:
    """Stream words of a ternary matrix."""
    return matmul_cells(inputs, outputs, config) // FRAME_CELLS * FRAME_WORDS


def head_words(hidden: int, vocab: int, config: HardwareConfig) -> int:
    """Stream words of the INT8 head: blocks of scales and of `head_block` rows of weights, column word by column word."""
    block = head_block(config)
    return -(-vocab // block) * (4 * block + block * round_up(hidden, config.beat_bytes)) // config.word_bytes


def shortlist_size(config: HardwareConfig) -> int:
    """Candidates that the two-stage head weighs exactly for each token row: a block of the head."""
    return head_block(config)


def shortlist_outputs(vocab: int, config: HardwareConfig) -> int:
    """Outputs of the shortlist's matrix: the vocabulary, filled up for the engine."""
    return round_up(vocab, config.outputs)


def shortlist_words(hidden: int, vocab: int, config: HardwareConfig) -> int:
    """Stream words of the shortlist: its matrix, then a binary32 scale for each of its outputs."""
    outputs = shortlist_outputs(vocab, config)
    return matmul_words(hidden, outputs, config) + -(-4 * outputs // config.word_bytes)


@dataclass(frozen=True, kw_only=True)
class KvLayout:
    """The KV cache of one sequence: a region for each layer and record.

    A record is a key-value head, or two whose columns fill whole beats only together. Its region holds the planes of the keys, then
    those of the values, then the scales. A plane has a wide beat for each slot: columns ``w * beat_bytes`` and on of the record's
    concatenated vectors, padded with zeros. A slot's scale entry is (key's, value's) dequantisation scale of each head, binary32,
    padded with zeros. All slots of a plane are adjacent, so attention reads linear runs of memory.
    """

    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    context: int
    beat_bytes: int
    port_bytes: int

    @property
    def pack(self) -> int:
        """Key-value heads of a record, 1 or 2."""
        paired = self.heads == self.kv_heads and 2 * (self.head_dim % self.beat_bytes) == self.beat_bytes
        return 2 if paired and self.kv_heads % 2 == 0 else 1

    @property
    def group(self) -> int:
        """Query heads of a key-value head."""
        return self.heads // self.kv_heads

    @property
    def records(self) -> int:
        """Records of a layer."""
        return self.kv_heads // self.pack

    @property
    def planes(self) -> int:
        """Planes of a record's keys, and of its values."""
        return -(-self.pack * self.head_dim // self.beat_bytes)

    @property
    def query_columns(self) -> int:
        """Query columns of a record and query head of the group, with padding."""
        return self.planes * self.beat_bytes

    @property
    def plane_stride(self) -> int:
        """Bytes of a plane."""
        return self.context * self.beat_bytes

    @property
    def entry(self) -> int:
        """Bytes of a slot's scales."""
        return max(8 * self.pack, self.port_bytes)

    @property
    def scales_offset(self) -> int:
        """Byte offset of the scales in a region."""
        return 2 * self.planes * self.plane_stride

    @property
    def record_bytes(self) -> int:
        """Bytes of a region."""
        return self.scales_offset + round_up(self.context * self.entry, self.beat_bytes)

    @property
    def slot_bytes(self) -> int:
        """Bytes that a token adds to the cache."""
        return self.layers * self.records * (2 * self.planes * self.beat_bytes + self.entry)

    @property
    def total_bytes(self) -> int:
        """Bytes of the whole cache."""
        return self.layers * self.records * self.record_bytes

    def offset(self, layer: int, record: int) -> int:
        """Byte offset of a region from the cache's base."""
        return (layer * self.records + record) * self.record_bytes
