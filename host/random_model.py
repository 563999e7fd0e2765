"""Models of any shape without a checkpoint: random weights by seed, straight into the compiled form; and a filled KV cache."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from terntable.host.descriptors import LayerScales
from terntable.host.layout_plan import Section, build_program, check_model, sections
from terntable.host.program import Program
from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.layout import KvLayout, embed_stride
from terntable.models.random_stream import (
    fill_embedding,
    fill_gamma,
    fill_head,
    fill_matrix,
    fill_shortlist,
    item_key,
    layer_scales,
)
from terntable.models.shapes import Geometry

__all__ = ["random_cache", "random_program"]


def random_program(shape: Geometry, config: HardwareConfig, *, context: int, layers: int | None = None, seed: int = 1,
                   shortlist: bool = False, progress: Callable[[str], None] | None = None) -> Program:
    """A program with random weights; ProgramError names the number that `config` does not hold.

    Parameters
    ----------
    context : KV slots.
    layers : only the first so many layers; the head and what is around them stay.
    shortlist : also what the two-stage head needs, which knows nothing of the head's weights.

    """
    model = replace(shape.bitnet_config(), num_hidden_layers=shape.layers if layers is None else layers)
    check_model(model, config, context)
    parts = sections(model, config, shortlist=shortlist)
    size = config.word_bytes
    stream = np.zeros(size * (parts[-1].first + parts[-1].words), np.uint8)
    if progress is not None:
        progress(f"Drawing {stream.size / 1e6:,.0f} MB of weights for {model.num_hidden_layers} layers of {shape.name}")
    for part in parts:
        _fill(stream[size * part.first:size * (part.first + part.words)], part, config, seed)
    embed = np.zeros(shape.vocab * embed_stride(shape.hidden, config), np.uint8)
    fill_embedding(embed, shape.hidden, shape.vocab, config, item_key(seed, "embedding"))
    scales = [LayerScales(**layer_scales(shape, layer, seed)) for layer in range(model.num_hidden_layers)]
    return build_program(model, config, name=shape.name, context=context, scales=scales, stream=stream, embed=embed,
                         shortlist=shortlist)


def random_cache(kv: KvLayout, slots: int, seed: int = 1) -> NDArray[np.uint8]:
    """A KV cache whose first `slots` slots hold random keys and values with scales as of a running model."""
    cache = np.zeros(kv.total_bytes, np.uint8)
    rng = np.random.default_rng(seed)
    columns = kv.pack * kv.head_dim
    for layer in range(kv.layers):
        for record in range(kv.records):
            region = cache[kv.offset(layer, record):][:kv.record_bytes]
            planes = region[:kv.scales_offset].reshape(2, kv.planes, kv.context, kv.beat_bytes)
            vectors = np.zeros((2, slots, kv.planes * kv.beat_bytes), np.int8)
            vectors[..., :columns] = rng.integers(-127, 128, (2, slots, columns), np.int8)
            planes[:, :, :slots] = vectors.view(np.uint8).reshape(2, slots, kv.planes, -1).transpose(0, 2, 1, 3)
            scales = np.zeros((slots, kv.entry // 4), np.float32)
            scales[:, :2 * kv.pack] = rng.uniform(0.01, 0.04, (slots, 2 * kv.pack))
            region[kv.scales_offset:kv.scales_offset + scales.nbytes] = scales.view(np.uint8).ravel()
    return cache


def _fill(out: NDArray[np.uint8], part: Section, config: HardwareConfig, seed: int) -> None:
    key = item_key(seed, part.part, 0 if part.part in ("final_norm", "head", "shortlist") else part.layer)
    if part.kind == "gamma":
        fill_gamma(out, part.inputs, config, key)
    elif part.kind == "matrix":
        fill_matrix(out, part.outputs, part.inputs, config, key)
    elif part.kind == "head":
        fill_head(out, part.inputs, part.outputs, config, key)
    else:
        fill_shortlist(out, part.inputs, part.outputs, config, key)
