"""States of layers that a pass leaves in memory: where they lie, the descriptors that put them there, and how they are read.

The quantiser and the KV writer do it. A state enters the key and value buffers in pieces, INT8 with one scale for a row, and is
stored like the keys and values of heads, in the slot of its row. So states cost no hardware, and a drafter reads one byte a column.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from terntable.host.descriptors import descriptor
from terntable.host.errors import SessionError
from terntable.host.pass_parts import PassParts
from terntable.host.program import Program
from terntable.hw.spec.layout import round_up
from terntable.hw.spec.numbers import INT8_LIMIT
from terntable.hw.spec.program import DESCRIPTOR, Buffer, Op, ScalarKind, ScaleOf, VecMode

__all__ = ["LAST", "StateLayout", "every_layer"]

#: The layer whose states enter the output layer, after the last norm.
LAST = -1


def every_layer(program: Program) -> list[int]:
    """All layers whose states can be kept."""
    return [LAST, *range(program.shape.layers)]


class StateLayout:
    """Where the states of some layers lie.

    Parameters
    ----------
    parts : of the program that runs.
    layers : i below the number of layers is what layer i gives, 0 what enters the first one; LAST is what enters the output layer.

    Attributes
    ----------
    kv : the regions, as if each were a layer of a KV cache of its own and its pieces heads.

    Raises
    ------
    SessionError
        A layer that the model does not have.

    """

    def __init__(self, parts: PassParts, layers: Sequence[int]) -> None:
        program, shape = parts.program, parts.program.shape
        for layer in layers:
            if layer != LAST and not 0 <= layer < shape.layers:
                raise SessionError(f"Layer {layer} is not one of 0 to {shape.layers - 1}, or {LAST} for the last states")
        self.parts, self.program, self.layers = parts, program, tuple(sorted(set(layers)))
        # The longest pieces that the buffers of keys and values hold, as each costs a store.
        piece = replace(program.kv, layers=len(self.layers), heads=2, kv_heads=2, head_dim=program.config.max_head_dim)
        count = round_up(-(-shape.hidden // (2 * piece.head_dim)), piece.pack)
        self.kv = replace(piece, heads=count, kv_heads=count)

    @property
    def total_bytes(self) -> int:
        """Bytes of all regions."""
        return self.kv.total_bytes

    def descriptors(self, layer: int) -> NDArray:
        """What stores the states of a layer, `DESCRIPTOR` records, while Y and AMAX hold the norm that follows the layer."""
        kv, hidden, slot = self.kv, self.program.shape.hidden, self.program.config.max_heads + 1
        # Before the norm's own factor inside a model, so that the state keeps its size; with it at the end, as the head has it.
        scale = ScaleOf.INV if layer == LAST else ScaleOf.ONE
        rows = [descriptor(Op.SCALAR, a=ScalarKind.QUANT, b=scale, c=slot + n, imm=INT8_LIMIT) for n in range(2 * kv.pack)]
        for record in range(kv.records):
            for buffer, columns in zip((Buffer.KEY, Buffer.VALUE), self._pieces(record), strict=True):
                length = min(columns.stop, hidden) - columns.start
                if length > 0:
                    rows.append(descriptor(Op.VEC, a=VecMode.QUANT, b=Buffer.Y, c=buffer, length=length, offset=columns.start))
            rows.append(descriptor(Op.KV_STORE, c=kv.pack, length=kv.head_dim, address2=kv.plane_stride,
                                address=kv.offset(self.layers.index(layer), record)))
        return np.array(rows, DESCRIPTOR)

    def read(self, memory: NDArray[np.uint8], layer: int, first: int, count: int) -> NDArray[np.float32]:
        """States (count, hidden) of the slots from `first` on, from the bytes of the regions.

        A column is off by half of a 127th of its row's largest number at most, where all are taken times the norm's weight.
        """
        if layer not in self.layers:
            kept = ", ".join(map(str, self.layers)) or "none"
            raise SessionError(f"The states of layer {layer} are not kept, only those of {kept}")
        kv, hidden = self.kv, self.program.shape.hidden
        values = np.zeros((count, hidden), np.float32)
        for record in range(kv.records):
            start = kv.offset(self.layers.index(layer), record)
            region = memory[start:start + kv.record_bytes]
            planes = region[:kv.scales_offset].view(np.int8).reshape(2, kv.planes, -1, kv.beat_bytes)[:, :, first:first + count]
            for half, columns in zip(planes, self._pieces(record), strict=True):
                length = max(0, min(columns.stop, hidden) - columns.start)
                values[:, columns.start:columns.start + length] = half.swapaxes(0, 1).reshape(count, -1)[:, :length]
        entries = region[kv.scales_offset:kv.scales_offset + self.program.shape.context * kv.entry].view(np.float32)
        values *= entries.reshape(-1, kv.entry // 4)[first:first + count, :1]
        if layer != LAST:
            # A column whose norm's weight is 0 cannot be had.
            np.divide(values, self._gammas[layer], out=values, where=self._gammas[layer] != 0)
        return values

    def _pieces(self, record: int) -> tuple[slice, slice]:
        """Columns of the state that are a record's keys, and its values."""
        size = self.kv.pack * self.kv.head_dim
        start = 2 * record * size
        return slice(start, start + size), slice(start + size, start + 2 * size)

    @cached_property
    def _gammas(self) -> dict[int, NDArray[np.float32]]:
        return {layer: self.parts.norm_weights(layer) for layer in self.layers if layer != LAST}
