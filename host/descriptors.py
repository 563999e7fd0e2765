"""The descriptor lists: a pass over all layers, and the compaction of a KV cache."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.layout import KvLayout, embed_stride, rope_stride
from terntable.hw.spec.numbers import HEAD_LIMIT, INT8_LIMIT, LOG2E
from terntable.hw.spec.program import DESCRIPTOR, FETCH_DESCRIPTORS, Buffer, Op, ScalarKind, VecMode

__all__ = ["LayerScales", "move_descriptors", "pass_descriptors"]


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


@dataclass
class _List:
    """Descriptors in the making."""

    rows: list[tuple] = field(default_factory=list)

    def add(self, op: Op, **values) -> None:
        names = list(DESCRIPTOR.fields or ())
        entry = dict.fromkeys(names, 0) | {"op": int(op)} | values
        self.rows.append(tuple(entry[name] for name in names))

    def bytes(self) -> NDArray[np.uint8]:
        """All descriptors, then END up to a whole block."""
        self.add(Op.END)
        while len(self.rows) % FETCH_DESCRIPTORS:
            self.add(Op.END)
        return np.array(self.rows, DESCRIPTOR).view(np.uint8)

    def vec(self, mode: VecMode, source: Buffer, target: Buffer, length: int, *, offset: int = 0, offset2: int = 0,
            scale: float = 0.0) -> None:
        self.add(Op.VEC, a=int(mode), b=int(source), c=int(target), length=length, offset=offset, offset2=offset2, imm=scale)

    def quantise(self, target: Buffer, length: int, *, offset: int = 0, offset2: int = 0, slot: int | None = None) -> None:
        limit = HEAD_LIMIT if target == Buffer.HEAD else INT8_LIMIT
        self.add(Op.SCALAR, a=int(ScalarKind.QUANT), c=0 if slot is None else slot + 1, imm=limit)
        self.vec(VecMode.QUANT, Buffer.Y, target, length, offset=offset, offset2=offset2)

    def norm(self, source: Buffer, target: Buffer, length: int, epsilon: float) -> None:
        """RMS norm of `source`, quantised to `target`, by way of Y."""
        self.vec(VecMode.SUMSQ, source, Buffer.Y, length)
        self.add(Op.SCALAR, a=int(ScalarKind.NORM), imm=1 / length, imm2=epsilon)
        self.vec(VecMode.NORM, source, Buffer.Y, length)
        self.quantise(target, length)

    def matmul(self, outputs: int, inputs: int) -> None:
        self.add(Op.MATMUL, length=outputs, offset=inputs)


def pass_descriptors(*, config: HardwareConfig, kv: KvLayout, hidden: int, intermediate: int, heads: int, vocab: int,
                     epsilon: float, activation: VecMode, scales: list[LayerScales]) -> NDArray[np.uint8]:
    """A whole pass: embedding to head. `activation` is the gate's mode; bytes padded to whole fetch blocks."""
    out = _List()
    dim, group = kv.head_dim, heads // kv.kv_heads
    key_columns = kv.kv_heads * dim
    out.add(Op.EMBED, length=hidden, address2=embed_stride(hidden, config))
    out.add(Op.ROPE, length=dim // 2, address2=rope_stride(dim, config))
    for layer, scale in enumerate(scales):
        out.norm(Buffer.X, Buffer.ACT, hidden, epsilon)
        out.matmul(heads * dim + 2 * key_columns, hidden)
        _queries(out, heads, kv, scale)
        for head in range(kv.kv_heads):
            _append(out, config, kv, layer, head, heads, scale)
        for head in range(kv.kv_heads):
            out.add(Op.ATTENTION, a=head * group, b=group, length=dim, offset2=head * group * dim, imm=LOG2E / math.sqrt(dim),
                    address=kv.key_offset(layer, head), address2=kv.value_offset(layer, head))
        out.norm(Buffer.Y, Buffer.ACT, heads * dim, epsilon)
        out.matmul(hidden, heads * dim)
        out.vec(VecMode.ADD, Buffer.PARTIAL, Buffer.X, hidden, scale=scale.o)
        out.norm(Buffer.X, Buffer.ACT, hidden, epsilon)
        out.matmul(2 * intermediate, hidden)
        out.vec(activation, Buffer.PARTIAL, Buffer.Y, intermediate, scale=scale.gate)
        out.vec(VecMode.MULTIPLY, Buffer.PARTIAL, Buffer.Y, intermediate, offset=intermediate, scale=scale.up)
        out.norm(Buffer.Y, Buffer.ACT, intermediate, epsilon)
        out.matmul(hidden, intermediate)
        out.vec(VecMode.ADD, Buffer.PARTIAL, Buffer.X, hidden, scale=scale.down)
    out.norm(Buffer.X, Buffer.HEAD, hidden, epsilon)
    out.add(Op.HEAD, length=vocab, offset=hidden)
    return out.bytes()


def _queries(out: _List, heads: int, kv: KvLayout, scale: LayerScales) -> None:
    dim = kv.head_dim
    out.vec(VecMode.DEQUANT, Buffer.PARTIAL, Buffer.Y, heads * dim, scale=scale.q)
    for head in range(heads):
        out.vec(VecMode.ROPE, Buffer.Y, Buffer.Y, dim, offset=head * dim, offset2=head * dim)
        out.quantise(Buffer.QUERY, dim, offset=head * dim, offset2=head * kv.padded_dim, slot=head)


def _append(out: _List, config: HardwareConfig, kv: KvLayout, layer: int, head: int, heads: int, scale: LayerScales) -> None:
    """Key and value of one key-value head: dequantise, turn, quantise, store."""
    dim = kv.head_dim
    first_key = (heads + head) * dim
    first_value = (heads + kv.kv_heads + head) * dim
    out.vec(VecMode.DEQUANT, Buffer.PARTIAL, Buffer.Y, dim, offset=first_key, scale=scale.k)
    out.vec(VecMode.ROPE, Buffer.Y, Buffer.Y, dim)
    out.quantise(Buffer.KEY, dim, slot=config.max_heads)
    out.vec(VecMode.DEQUANT, Buffer.PARTIAL, Buffer.Y, dim, offset=first_value, scale=scale.v)
    out.quantise(Buffer.VALUE, dim, slot=config.max_heads + 1)
    out.add(Op.KV_STORE, a=0, length=kv.key_record, address=kv.key_offset(layer, head))
    out.add(Op.KV_STORE, a=1, length=kv.value_record, address=kv.value_offset(layer, head))


def move_descriptors(kv: KvLayout) -> NDArray[np.uint8]:
    """Moves of the row records' slots in every region of the cache."""
    out = _List()
    for layer in range(kv.layers):
        for head in range(kv.kv_heads):
            out.add(Op.MOVE, length=kv.key_record, address=kv.key_offset(layer, head))
            out.add(Op.MOVE, length=kv.value_record, address=kv.value_offset(layer, head))
    return out.bytes()
