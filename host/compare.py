"""Where the outputs of two devices differ first, named by the unit that made them."""

import numpy as np
from numpy.typing import NDArray

from terntable.host.program import Program
from terntable.host.target import PassResult
from terntable.hw.spec.layout import KvLayout

__all__ = ["first_difference"]


def first_difference(program: Program, kv: NDArray[np.uint8], wanted_kv: NDArray[np.uint8],
                     result: PassResult | None, wanted: PassResult | None) -> str | None:
    """The first difference in the order in which a pass makes its outputs, as words; None when there is none.

    Parameters
    ----------
    kv, wanted_kv : KV caches, laid out as `program.kv`.
    result, wanted : what the pass returned, None for a pass that only moves.

    """
    return _in_cache(program, kv, wanted_kv) or _in_results(result, wanted)


def _in_cache(program: Program, kv: NDArray[np.uint8], wanted: NDArray[np.uint8]) -> str | None:
    layout = program.kv
    if np.array_equal(kv, wanted):
        return None
    for layer in range(layout.layers):
        before = f"layer {layer - 1}'s attention, output or feed-forward part" if layer else "the embedding"
        for record in range(layout.records):
            start = layout.offset(layer, record)
            region = slice(start, start + layout.record_bytes)
            places = np.flatnonzero(kv[region] != wanted[region])
            if not places.size:
                continue
            place = int(places[0])
            what, unit = _part(layout, record, place)
            ours, theirs = int(kv[region][place]), int(wanted[region][place])
            return (f"{what} of layer {layer} is {ours:#04x} instead of {theirs:#04x} at byte {place} of its record; "
                    f"made by {unit} of layer {layer}, after {before}")
    return "the KV cache differs outside every region"


def _part(layout: KvLayout, record: int, place: int) -> tuple[str, str]:
    """What lies at a byte of a record's region, and the units that make it."""
    first = record * layout.pack
    if place >= layout.scales_offset:
        slot, byte = divmod(place - layout.scales_offset, layout.entry)
        number = byte // 4
        if number >= 2 * layout.pack:
            return f"the padding of the scales, slot {slot}", "the KV writer"
        kind = "value" if number % 2 else "key"
        return f"the {kind}'s scale, head {first + number // 2}, slot {slot}", "the quantisation scale or the KV writer"
    plane, offset = divmod(place, layout.plane_stride)
    slot, byte = divmod(offset, layout.beat_bytes)
    kind = "key" if plane < layout.planes else "value"
    column = plane % layout.planes * layout.beat_bytes + byte
    if column >= layout.pack * layout.head_dim:
        return f"the padding of the {kind}, slot {slot}", "the KV writer"
    turned = ", rotary embedding" if kind == "key" else ""
    return (f"column {column % layout.head_dim} of the {kind}, head {first + column // layout.head_dim}, slot {slot}",
            f"norm, ternary product{turned} or quantiser")


def _in_results(result: PassResult | None, wanted: PassResult | None) -> str | None:
    if result is None or wanted is None:
        return None
    for name, unit in (("logits", "the last norm, the head or the result writer"),
                       ("top", "the head or top-k")):
        ours, theirs = getattr(result, name), getattr(wanted, name)
        if ours is None or theirs is None:
            continue
        # As bytes, because equal bits is what is asked, and -0 equals 0 as a number.
        a, b = (np.ascontiguousarray(x).view(np.uint8).reshape(*x.shape, x.itemsize) for x in (ours, theirs))
        if (a != b).any():
            row, column = (int(n) for n in np.argwhere((a != b).any(axis=-1))[0])
            return (f"{name}[{column}] of result row {row} is {ours[row, column]} instead of "
                    f"{theirs[row, column]}; made by {unit}")
    return None
