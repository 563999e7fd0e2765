"""Some layers of a compiled pass as a program of their own.

What X holds stays there from one pass to the next. So rows that ran through the first layers can go on in another pass, beside
rows that enter there, and each weight is still read once for all of them.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from terntable.host.pass_parts import NORM_DESCRIPTORS, PassParts
from terntable.host.states import LAST, StateLayout
from terntable.hw.spec.layout import round_up
from terntable.hw.spec.program import DESCRIPTOR, FETCH_DESCRIPTORS, Op

__all__ = ["Excerpt", "Part", "excerpt"]

#: States of a layer's input are stored behind the start of its first product, so that the engine works meanwhile.
_IN_LAYER = NORM_DESCRIPTORS + 1


class Part(NamedTuple):
    """What of a pass is to run: layers `first` to `last` - 1, counted from 0.

    Attributes
    ----------
    loads : whether rows are loaded first; otherwise all of them are there already.
    head : whether the head follows, as it would follow the last layer. Without layers, it is the head alone.
    states : whether states that are kept are left in memory.

    """

    first: int
    last: int
    loads: bool = True
    head: bool = False
    states: bool = True


@dataclass(frozen=True, eq=False)
class Excerpt:
    """A program.

    Attributes
    ----------
    program : descriptors (bytes).
    first_word, words : of the weight stream, without the head's.

    """

    program: NDArray[np.uint8]
    first_word: int
    words: int


def excerpt(parts: PassParts, part: Part, states: StateLayout, *, cache_at: int = 0, states_at: int = 0) -> Excerpt:
    """A part of a pass.

    Parameters
    ----------
    states : what is to be left in memory, as far as it lies behind the first layer's input here, or is the model's input.
    cache_at, states_at : where KV cache and states begin, behind the base register of the cache.

    """
    first, last = part.first, part.last
    layers, kept = len(parts.layers), states.layers if part.states else ()
    pieces = [parts.lead] if part.loads else []
    words = parts.words[last] - parts.words[first]

    def storing(descriptors: NDArray, place: int, layer: int) -> list[NDArray]:
        return [_moved(descriptors[:place], cache_at), _moved(states.descriptors(layer), states_at),
                _moved(descriptors[place:], cache_at)]

    for number in range(first, last):
        wanted = number in kept and (number > first or not first)
        layer = parts.layers[number]
        pieces += storing(layer, _IN_LAYER, number) if wanted else [_moved(layer, cache_at)]
    at_end = last == layers and LAST in kept
    if part.head:
        pieces += storing(parts.tail, NORM_DESCRIPTORS, LAST) if at_end else [parts.tail]
        words += parts.words_of(parts.tail)
    elif at_end or last in kept:
        # A norm that is made for the states alone; where another pass goes on, it is made again there.
        norm = (parts.tail if last == layers else parts.layers[last])[:2]
        pieces += storing(norm, len(norm), LAST if at_end else last)
        words += parts.words_of(norm)
    descriptors = np.concatenate(pieces)
    padded = np.zeros(round_up(len(descriptors) + 1, FETCH_DESCRIPTORS), DESCRIPTOR)
    padded[:len(descriptors)] = descriptors
    return Excerpt(padded.view(np.uint8), parts.words[first], words)


def _moved(descriptors: NDArray, count: int) -> NDArray:
    """Descriptors that find what lies behind the cache's base register `count` bytes further on."""
    moved = descriptors.copy()
    moved["address"][np.isin(moved["op"], (Op.KV_STORE, Op.ATTENTION))] += np.uint32(count)
    return moved
