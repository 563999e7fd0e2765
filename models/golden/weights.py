"""Weight beats back to matrices, kept until the memory below them changes."""

import numpy as np
from numpy.typing import NDArray

from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.layout import beats, head_block, head_words, matmul_words
from terntable.quant.beats import BeatGeometry, unpack_matrix

__all__ = ["WeightCache"]

#: Bytes of decoded weights to keep; what does not fit is decoded anew in each pass.
KEPT_BYTES = 2 << 30


class WeightCache:
    """Decodes regions of the weight stream once.

    Parameters
    ----------
    config : the geometry of a beat.
    memory : uint8, the memory that regions lie in.

    """

    def __init__(self, config: HardwareConfig, memory: NDArray[np.uint8]) -> None:
        self.config, self.memory = config, memory
        self.geometry = BeatGeometry(word_bytes=config.word_bytes, outputs=config.outputs, block_outputs=config.block_outputs)
        self._kept: dict[tuple, tuple[int, object]] = {}
        self._room = KEPT_BYTES

    def written(self, address: int, count: int) -> None:
        """Forget what was decoded from `count` bytes at `address`."""
        for key, kept in list(self._kept.items()):
            if key[1] < address + count and address < key[1] + kept[0]:
                del self._kept[key]
                self._room += 20 * kept[0]

    def floats(self, address: int, count: int) -> NDArray[np.float32]:
        """Binary32 norm weights, (count,)."""
        return self.memory[address:address + 4 * count].view(np.float32)

    def ternary(self, address: int, outputs: int, inputs: int) -> NDArray[np.float32] | None:
        """Codes (outputs, inputs), or None when a byte is no five trits. As floats, which the product wants in each pass."""
        size = matmul_words(inputs, outputs, self.config) * self.config.word_bytes

        def decode(raw: NDArray[np.uint8]) -> NDArray[np.float32] | None:
            try:
                codes = unpack_matrix(raw.reshape(-1, self.config.word_bytes), outputs, inputs, self.geometry)
                return codes.astype(np.float32)
            except ValueError:
                return None

        return self._get(("ternary", address, outputs, inputs), size, decode)

    def head(self, address: int, vocab: int, inputs: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """INT8 rows (vocab, inputs) and their binary32 scales (vocab,)."""
        size = head_words(inputs, vocab, self.config) * self.config.word_bytes
        block, words = head_block(self.config), beats(inputs, self.config)

        def decode(raw: NDArray[np.uint8]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
            blocks = raw.reshape(-1, 4 * block + block * words * self.config.beat_bytes)
            scale = np.ascontiguousarray(blocks[:, :4 * block]).view(np.float32).ravel()
            columns = blocks[:, 4 * block:].view(np.int8).reshape(len(blocks), words, block, self.config.beat_bytes)
            rows = columns.transpose(0, 2, 1, 3).reshape(len(blocks) * block, -1)
            return rows[:vocab, :inputs].copy(), scale[:vocab].copy()

        return self._get(("head", address, vocab, inputs), size, decode)

    def _get(self, key: tuple, size: int, decode):
        if key in self._kept:
            return self._kept[key][1]
        decoded = decode(self.memory[key[1]:key[1] + size])
        # A matrix takes up to twenty times its stored size.
        if self._room >= 20 * size:
            self._room -= 20 * size
            self._kept[key] = size, decoded
        return decoded
