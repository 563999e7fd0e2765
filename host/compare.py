"""Where the outputs of two devices differ first, named by the unit that made them."""

import numpy as np
from numpy.typing import NDArray

from terntable.host.program import Program
from terntable.host.target import PassResult

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
        for head in range(layout.kv_heads):
            for kind, start, record in (("key", layout.key_offset(layer, head), layout.key_record),
                                        ("value", layout.value_offset(layer, head), layout.value_record)):
                region = slice(start, start + layout.context * record)
                places = np.flatnonzero(kv[region] != wanted[region])
                if not places.size:
                    continue
                slot, byte = divmod(int(places[0]), record)
                what, unit = _part(kind, byte, layout.head_dim, layout.padded_dim)
                ours, theirs = int(kv[region][places[0]]), int(wanted[region][places[0]])
                return (f"{what} of layer {layer}, head {head}, slot {slot} is {ours:#04x} instead of "
                        f"{theirs:#04x} in byte {byte} of its record; made by {unit} of layer {layer}, "
                        f"after {before}")
    return "the KV cache differs outside every region"


def _part(kind: str, byte: int, dim: int, padded: int) -> tuple[str, str]:
    if byte < dim:
        turned = ", rotary embedding" if kind == "key" else ""
        return f"column {byte} of the {kind}", f"norm, ternary product{turned} or quantiser"
    if byte < padded:
        return f"the padding of the {kind}", "the KV writer"
    scale = "key" if byte - padded < 4 else "value"
    return f"the {scale}'s scale", "the quantisation scale or the KV writer"


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
