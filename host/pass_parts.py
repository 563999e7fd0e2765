"""Parts of a compiled pass: its layers one by one, with the words of the weight stream that each of them takes."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from terntable.host.program import Program
from terntable.hw.spec.layout import gamma_words, matmul_words
from terntable.hw.spec.program import DESCRIPTOR, OF_SHORTLIST, Buffer, Op, VecMode

__all__ = ["NORM_DESCRIPTORS", "PassParts"]

#: Descriptors of a norm up to the quantised vector; the first is the norm itself.
NORM_DESCRIPTORS = 4


class PassParts:
    """A program's descriptors, taken apart.

    Parameters
    ----------
    program : compiled.

    Attributes
    ----------
    lead : what loads the rows, before the first layer.
    layers : descriptors of each layer; each begins with its norm.
    tail : the last norm and the head.

    """

    def __init__(self, program: Program) -> None:
        self.program = program
        descriptors = program.program.view(DESCRIPTOR)
        descriptors = descriptors[:np.flatnonzero(descriptors["op"] == Op.END)[0]]
        norms = np.flatnonzero((descriptors["op"] == Op.VEC) & (descriptors["a"] == VecMode.NORM) & (descriptors["b"] == Buffer.X))
        # A layer has two norms of the residual stream, then comes the last one.
        starts = norms[::2]
        self.lead, self.tail = descriptors[:starts[0]], descriptors[starts[-1]:]
        self.layers = [descriptors[a:b] for a, b in zip(starts[:-1], starts[1:], strict=True)]

    @cached_property
    def words(self) -> list[int]:
        """Words of the stream before each layer, and before the tail."""
        return [0, *np.cumsum([self.words_of(layer) for layer in self.layers]).tolist()]

    def norm_weights(self, layer: int) -> NDArray[np.float32]:
        """Weights (hidden,) of a layer's first norm; of the last norm for the number of layers."""
        start = self.words[layer] * self.program.config.word_bytes
        return self.program.stream[start:start + 4 * self.program.shape.hidden].view(np.float32)

    @property
    def epsilon(self) -> float:
        """What the last norm adds to the mean square."""
        return float(self.tail[1]["imm2"])

    def words_of(self, descriptors: NDArray) -> int:
        """Words of the stream that descriptors take, without the head's and the shortlist's."""
        config, total = self.program.config, 0
        for one in descriptors:
            if one["op"] == Op.VEC and one["a"] == VecMode.NORM:
                total += gamma_words(int(one["length"]), config)
            elif one["op"] == Op.MATMUL and one["a"] != OF_SHORTLIST:
                total += matmul_words(int(one["offset"]), int(one["length"]), config)
        return total
