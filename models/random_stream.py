"""Random weights by seed, written straight into the layout of the weight stream: a model of any shape without a checkpoint.

Every function fills a uint8 view of exactly the bytes that ``hw.spec.layout`` gives the item, and needs no more memory beside
it than a block. An item has a key of its own (:func:`item_key`), so a layer can be filled alone and its bytes do not depend on
the others. The draws are Philox's raw words and integer arithmetic: the same bytes on every machine and with every NumPy.

Trits are uniform, a third each: a byte is uniform over the 243 legal ones. Absmean makes 31 % zeros of normal weights, so a third
is near; bytes and cycles are the same whatever the trits are. Scales keep activations realistic: a projection turns inputs of
mean square 1 into outputs of about mean square 1, embedding columns have variance 1, norm weights are around 1 and logits spread
by about 2. The residual stream then grows as the square root of the layers, as in trained models.
"""

import math

import numpy as np
from numpy.typing import NDArray

from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.layout import (
    FRAME_CELLS,
    FRAME_WORDS,
    embed_stride,
    gamma_words,
    head_block,
    head_words,
    matmul_cells,
    matmul_words,
    round_up,
    shortlist_outputs,
    shortlist_words,
)
from terntable.models.shapes import Geometry
from terntable.quant.base3 import LEGAL_BYTES, pack_bytes, unpack_bytes

__all__ = ["fill_embedding", "fill_gamma", "fill_head", "fill_matrix", "fill_shortlist", "item_key", "layer_scales"]

#: Items of a layer or of the model; the place is part of the key, so new ones go to the end.
PARTS = ("input_norm", "qkv", "attn_sub_norm", "o", "post_norm", "gate_up", "ffn_sub_norm", "down", "final_norm", "head",
         "embedding", "scales", "shortlist")

LOGIT_SPREAD = 2.0
GAMMA_SPREAD = 0.1
#: A scale is the value that keeps the mean square, times 1 - SCALE_SPREAD to 1 + SCALE_SPREAD.
SCALE_SPREAD = 0.2

#: Bytes drawn at a time: small enough for the cache, large enough that Python does not count. Changing it changes no byte.
_CHUNK = 1 << 18
#: Numbers of mean 0 and variance 1, 4.9 at most, by the sum of eight uniform bytes: normal enough, and the sum is exact.
_NORMAL = ((np.arange(8 * 255 + 1) - 4 * 255) / math.sqrt(8 * (256**2 - 1) / 12)).astype(np.float32)
_HALF_NORMAL = _NORMAL.astype(np.float16)


def item_key(seed: int, part: str, layer: int = 0) -> int:
    """The key of an item's draws: `seed` 0 to 2**64 - 1, a part of :data:`PARTS`, `layer` 0 to 2**32 - 1."""
    for name, value, bits in (("seed", seed, 64), ("layer", layer, 32)):
        if not 0 <= value < 1 << bits:
            raise ValueError(f"{name} is {value}, but must be from 0 to 2**{bits} - 1")
    if part not in PARTS:
        raise ValueError(f"part is {part!r}, but must be one of {', '.join(PARTS)}")
    return seed << 64 | layer << 32 | PARTS.index(part)


def layer_scales(geometry: Geometry, layer: int, seed: int) -> dict[str, float]:
    """Scales (binary32 values) of a layer's seven projections, about sqrt(3 / (2 x inputs)): a uniform trit's square is 2/3."""
    parts = {"q": geometry.hidden, "k": geometry.hidden, "v": geometry.hidden, "o": geometry.hidden, "gate": geometry.hidden,
             "up": geometry.hidden, "down": geometry.intermediate}
    spread = _around_one(np.random.Philox(key=item_key(seed, "scales", layer)), len(parts))
    return {part: float(np.float32(math.sqrt(1.5 / inputs)) * factor)
            for (part, inputs), factor in zip(parts.items(), spread, strict=True)}


def fill_gamma(out: NDArray[np.uint8], columns: int, config: HardwareConfig, key: int) -> None:
    """Norm weights: `columns` binary32 numbers around 1, then zero bytes."""
    _check(out, gamma_words(columns, config) * config.word_bytes, f"a norm of {columns} columns")
    source = np.random.Philox(key=key)
    out[4 * columns:] = 0
    out[:4 * columns] = (1 + np.float32(GAMMA_SPREAD) * _NORMAL[_normal_index(source, columns)]).view(np.uint8)


def fill_matrix(out: NDArray[np.uint8], outputs: int, inputs: int, config: HardwareConfig, key: int) -> None:
    """Ternary weights of `outputs` x `inputs`: uniform trits; columns past `inputs` and cells that fill up the last frame are zero.

    `outputs` must be a multiple of the engine's.
    """
    if outputs % config.outputs:
        raise ValueError(f"the matrix has {outputs} outputs, but preset {config.name} needs a multiple of {config.outputs}")
    _check(out, matmul_words(inputs, outputs, config) * config.word_bytes, f"a matrix of {outputs} x {inputs}")
    _uniform(out, np.random.Philox(key=key), LEGAL_BYTES)
    words = out.reshape(-1, config.word_bytes)
    tiles = -(-inputs // config.tile_inputs)
    # Lookup r x groups + t takes columns 3t to 3t + 2 of the tile for output r.
    columns = np.tile(np.arange(config.tile_inputs).reshape(config.groups, -1), (config.outputs, 1))
    padding = columns >= inputs - (tiles - 1) * config.tile_inputs
    if padding.any():
        for first in range(0, outputs, config.block_outputs):
            cells = min(config.block_outputs, outputs - first) // config.outputs
            # A block's last tile ends where the next block begins.
            end = (first // config.outputs + cells) * tiles
            _clear(words, end - cells, end, padding)
    _clear(words, tiles * outputs // config.outputs, matmul_cells(inputs, outputs, config), columns >= 0)


def fill_head(out: NDArray[np.uint8], hidden: int, vocab: int, config: HardwareConfig, key: int) -> None:
    """INT8 head: weights uniform in -127..127 with a scale for each row; columns past `hidden` and rows past `vocab` are zero."""
    _check(out, head_words(hidden, vocab, config) * config.word_bytes, f"a head of {vocab} x {hidden}")
    source = np.random.Philox(key=key)
    block, size = head_block(config), config.beat_bytes
    blocks = out.reshape(-1, 4 * block + block * round_up(hidden, size))
    scales = np.zeros(len(blocks) * block, np.float32)
    # Weights of mean square 127 x 128 / 3 meet inputs of mean square 1.
    scales[:vocab] = np.float32(LOGIT_SPREAD * math.sqrt(3 / (127 * 128 * hidden))) * _around_one(source, vocab)
    for row, scale in zip(blocks, scales.reshape(-1, block), strict=True):
        row[:4 * block] = scale.view(np.uint8)
        weights = row[4 * block:]
        _uniform(weights, source, 255)
        weights -= np.uint8(127)
        weights.reshape(-1, block, size)[-1, :, hidden + size - round_up(hidden, size):] = 0
    blocks[-1, 4 * block:].reshape(-1, block, size)[:, vocab + block - round_up(vocab, block):] = 0


def fill_shortlist(out: NDArray[np.uint8], hidden: int, vocab: int, config: HardwareConfig, key: int) -> None:
    """Shortlist: uniform trits and scales around 1, as the order does not depend on their size; padding rows and bytes are zero."""
    _check(out, shortlist_words(hidden, vocab, config) * config.word_bytes, f"a shortlist of {vocab} x {hidden}")
    outputs = shortlist_outputs(vocab, config)
    size = matmul_words(hidden, outputs, config) * config.word_bytes
    fill_matrix(out[:size], outputs, hidden, config, key)
    out[size:] = 0
    # Beyond all that the matrix can have drawn.
    out[size:size + 4 * vocab] = _around_one(np.random.Philox(key=key).jumped(), vocab).view(np.uint8)


def fill_embedding(out: NDArray[np.uint8], hidden: int, vocab: int, config: HardwareConfig, key: int) -> None:
    """FP16 embedding table: normal numbers of variance 1 in rows of `hidden` columns, each padded with zeros to its stride."""
    stride = embed_stride(hidden, config)
    _check(out, vocab * stride, f"an embedding of {vocab} x {hidden}")
    source = np.random.Philox(key=key)
    rows = out.reshape(vocab, stride)
    rows[:, 2 * hidden:] = 0
    step = max(1, _CHUNK // hidden)
    for start in range(0, vocab, step):
        part = rows[start:start + step]
        values = _HALF_NORMAL[_normal_index(source, len(part) * hidden)]
        part[:, :2 * hidden] = values.view(np.uint8).reshape(len(part), -1)


def _check(out: NDArray[np.uint8], size: int, what: str) -> None:
    if out.dtype != np.uint8 or out.shape != (size,) or not out.flags.c_contiguous:
        raise ValueError(f"{what} takes {size} adjacent bytes, but the space is {out.dtype} of shape {out.shape}")


def _clear(words: NDArray[np.uint8], first: int, end: int, lookups: NDArray[np.bool_]) -> None:
    """Set trits of the cells from `first` to `end` to zero: those of a cell that `lookups` (lookups of a cell, 3) marks."""
    if first == end:
        return
    start = first // FRAME_CELLS
    frames = words[start * FRAME_WORDS:-(-end // FRAME_CELLS) * FRAME_WORDS]
    cells = unpack_bytes(frames.T).reshape(len(lookups), -1, lookups.shape[1])
    cells[:, first - start * FRAME_CELLS:end - start * FRAME_CELLS][np.broadcast_to(
        lookups[:, None], (len(lookups), end - first, lookups.shape[1]))] = 0
    frames[:] = pack_bytes(cells.reshape(len(lookups), -1)).T


def _uniform(out: NDArray[np.uint8], source: np.random.Philox, values: int) -> None:
    """Fill with bytes 0 to `values` - 1, each as likely as 16 random bits can make it."""
    for start in range(0, out.size, _CHUNK):
        part = out[start:start + _CHUNK]
        drawn = source.random_raw(-(-part.size // 4)).view(np.uint16)[:part.size].astype(np.uint32)
        drawn *= np.uint32(values)
        drawn >>= np.uint32(16)
        part[:] = drawn


def _normal_index(source: np.random.Philox, count: int) -> NDArray[np.int64]:
    """Places in the tables of normal numbers: sums of eight random bytes."""
    drawn = source.random_raw(count)
    pairs = (drawn & np.uint64(0x00FF00FF00FF00FF)) + (drawn >> np.uint64(8) & np.uint64(0x00FF00FF00FF00FF))
    # The product's upper 16 bits are the sum of the four 16-bit pieces.
    return (pairs * np.uint64(0x0001000100010001) >> np.uint64(48)).view(np.int64)


def _around_one(source: np.random.Philox, count: int) -> NDArray[np.float32]:
    """Numbers uniform in 1 - SCALE_SPREAD to 1 + SCALE_SPREAD."""
    fraction = (source.random_raw(count) >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-23)
    return 1 + np.float32(SCALE_SPREAD) * (fraction - 1)
