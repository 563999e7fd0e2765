"""The descriptor lists: a pass over all layers, and the compaction of a KV cache."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.layout import KvLayout, embed_stride, rope_stride, shortlist_outputs
from terntable.hw.spec.numbers import HEAD_LIMIT, INT8_LIMIT, LOG2E
from terntable.hw.spec.program import (
    DESCRIPTOR,
    FETCH_DESCRIPTORS,
    OF_SHORTLIST,
    Buffer,
    Op,
    ScalarKind,
    ScaleOf,
    VecMode,
)

__all__ = ["LayerScales", "descriptor", "move_descriptors", "pass_descriptors"]


@dataclass(frozen=True)
class LayerScales:
    """Weight scales of one layer's matrices."""

    q: float
    k: float
    v: float
    o: float
    gate: float
    up: float
    down: float


def descriptor(op: Op, **values: float) -> tuple:
    """Fields of a `DESCRIPTOR` record, 0 where none is given."""
    names = list(DESCRIPTOR.fields or ())
    entry: dict[str, float] = dict.fromkeys(names, 0) | {"op": int(op)} | values
    return tuple(entry[name] for name in names)


@dataclass
class _List:
    """Descriptors in the making."""

    rows: list[tuple] = field(default_factory=list)

    def add(self, op: Op, **values) -> None:
        self.rows.append(descriptor(op, **values))

    def bytes(self) -> NDArray[np.uint8]:
        """All descriptors, then END up to a whole block."""
        self.add(Op.END)
        while len(self.rows) % FETCH_DESCRIPTORS:
            self.add(Op.END)
        return np.array(self.rows, DESCRIPTOR).view(np.uint8)

    def vec(self, mode: VecMode, source: Buffer, target: Buffer, length: int, *, offset: int = 0, offset2: int = 0,
            scale: float = 0.0, scale2: float = 0.0) -> None:
        self.add(Op.VEC, a=int(mode), b=int(source), c=int(target), length=length, offset=offset, offset2=offset2, imm=scale,
                 imm2=scale2)

    def norm(self, source: Buffer, target: Buffer, length: int, epsilon: float) -> None:
        """RMS norm of `source`, quantised to `target`, by way of Y. The norm's factor only enters the quantiser's scale."""
        self.vec(VecMode.NORM, source, Buffer.Y, length)
        self.add(Op.SCALAR, a=int(ScalarKind.NORM), imm=1 / length, imm2=epsilon)
        self.quantise(target, length)

    def quantise(self, target: Buffer, length: int) -> None:
        """The norm's vector in Y to `target`."""
        limit = HEAD_LIMIT if target == Buffer.HEAD else INT8_LIMIT
        self.add(Op.SCALAR, a=int(ScalarKind.QUANT), b=int(ScaleOf.INV), imm=limit)
        self.vec(VecMode.QUANT, Buffer.Y, target, length)

    def project(self, mode: VecMode, target: Buffer, length: int, *, scratch: int, column: int, slot: int, scale: float) -> None:
        """One head's next sums, turned or only converted, then quantised to `column` of `target` by way of Y at `scratch`."""
        self.vec(mode, Buffer.PARTIAL, Buffer.Y, length, offset2=scratch)
        self.add(Op.SCALAR, a=int(ScalarKind.QUANT), b=int(ScaleOf.FACTOR), c=slot + 1, imm=INT8_LIMIT, imm2=scale)
        self.vec(VecMode.QUANT, Buffer.Y, target, length, offset=scratch, offset2=column)

    def matmul(self, outputs: int, inputs: int, **values: int) -> None:
        self.add(Op.MATMUL, length=outputs, offset=inputs, **values)


def pass_descriptors(*, config: HardwareConfig, kv: KvLayout, hidden: int, intermediate: int, vocab: int, epsilon: float,
                     activation: VecMode, scales: list[LayerScales], shortlist: bool = False) -> NDArray[np.uint8]:
    """A whole pass: embedding to head, with a `shortlist` or without. `activation` is the gate's mode; bytes padded to whole
    fetch blocks.
    """
    out = _List()
    width = kv.heads * kv.head_dim
    out.add(Op.EMBED, length=hidden, address2=embed_stride(hidden, config))
    out.add(Op.ROPE, length=kv.head_dim // 2, address2=rope_stride(kv.head_dim, config))
    for layer, scale in enumerate(scales):
        out.norm(Buffer.X, Buffer.ACT, hidden, epsilon)
        out.matmul(width + 2 * kv.kv_heads * kv.head_dim, hidden)
        # Projections follow the engine; what attention reads then fills the ports, between heads the weights do.
        for record in range(kv.records):
            _project(out, config, kv, layer, record, scale)
        for record in range(kv.records):
            _attend(out, kv, layer, record)
        out.norm(Buffer.Y, Buffer.ACT, width, epsilon)
        out.matmul(hidden, width)
        out.vec(VecMode.ADD, Buffer.PARTIAL, Buffer.X, hidden, scale=scale.o)
        out.norm(Buffer.X, Buffer.ACT, hidden, epsilon)
        out.matmul(2 * intermediate, hidden)
        out.vec(activation, Buffer.PARTIAL, Buffer.Y, intermediate, scale=scale.gate, scale2=scale.up)
        out.norm(Buffer.Y, Buffer.ACT, intermediate, epsilon)
        out.matmul(hidden, intermediate)
        out.vec(VecMode.ADD, Buffer.PARTIAL, Buffer.X, hidden, scale=scale.down)
    if shortlist:
        # The engine has its input before the head has its own, which is made beside the product.
        out.norm(Buffer.X, Buffer.ACT, hidden, epsilon)
        out.matmul(shortlist_outputs(vocab, config), hidden, a=OF_SHORTLIST)
        out.quantise(Buffer.HEAD, hidden)
        out.add(Op.SHORTLIST, length=vocab)
        out.add(Op.HEAD, a=OF_SHORTLIST, length=vocab, offset=hidden)
        return out.bytes()
    out.norm(Buffer.X, Buffer.HEAD, hidden, epsilon)
    out.add(Op.HEAD, length=vocab, offset=hidden)
    return out.bytes()


def _project(out: _List, config: HardwareConfig, kv: KvLayout, layer: int, record: int, scale: LayerScales) -> None:
    """Queries, keys and values of a record in the order of their sums, while the engine goes on."""
    dim, pack, group = kv.head_dim, kv.pack, kv.group
    first, scratch = record * group * pack, kv.heads * dim
    for head in range(group * pack):
        out.project(VecMode.ROPE, Buffer.QUERY, dim, scratch=scratch, slot=first + head, scale=scale.q,
                    column=(record * group + head // pack) * kv.query_columns + head % pack * dim)
    for target, mode, place, factor in ((Buffer.KEY, VecMode.ROPE, 0, scale.k), (Buffer.VALUE, VecMode.CONVERT, 1, scale.v)):
        for head in range(pack):
            out.project(mode, target, dim, scratch=scratch, column=head * dim, slot=config.max_heads + 2 * head + place,
                        scale=factor)
    out.add(Op.KV_STORE, **_where(kv, layer, record))


def _attend(out: _List, kv: KvLayout, layer: int, record: int) -> None:
    """Attention of the query heads that share a record."""
    first = record * kv.group * kv.pack
    for query in range(kv.group):
        out.add(Op.ATTENTION, a=first + query * kv.pack, offset=(record * kv.group + query) * kv.query_columns,
                offset2=(first + query * kv.pack) * kv.head_dim, imm=LOG2E / math.sqrt(kv.head_dim), **_where(kv, layer, record))


def _where(kv: KvLayout, layer: int, record: int) -> dict[str, int]:
    return {"c": kv.pack, "length": kv.head_dim, "address": kv.offset(layer, record), "address2": kv.plane_stride}


def move_descriptors(kv: KvLayout) -> NDArray[np.uint8]:
    """Moves of the row records' slots in every plane of the cache, and of their scales."""
    out = _List()
    for layer in range(kv.layers):
        for record in range(kv.records):
            start = kv.offset(layer, record)
            for plane in range(2 * kv.planes):
                out.add(Op.MOVE, length=kv.beat_bytes, address=start + plane * kv.plane_stride)
            out.add(Op.MOVE, length=kv.entry, address=start + kv.scales_offset)
    return out.bytes()
