"""Weight beats back to matrices, kept until the memory below them changes."""

import numpy as np
from numpy.typing import NDArray

from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.layout import beats, head_beats, head_block, matmul_beats
from terntable.quant.beats import BeatGeometry, unpack_matrix

__all__ = ["WeightCache"]


class WeightCache:
    """Decodes regions of the weight stream once.

    Parameters
    ----------
    config : the geometry of a beat.
    memory : uint8, the memory that regions lie in.

    """

    def __init__(self, config: HardwareConfig, memory: NDArray[np.uint8]) -> None:
        self.config, self.memory = config, memory
        self.geometry = BeatGeometry(beat_bytes=config.beat_bytes, outputs=config.lanes)
        self._kept: dict[tuple, tuple[int, object]] = {}

    def written(self, address: int, count: int) -> None:
        """Forget what was decoded from `count` bytes at `address`."""
        self._kept = {key: kept for key, kept in self._kept.items()
                      if not (key[1] < address + count and address < key[1] + kept[0])}

    def floats(self, address: int, count: int) -> NDArray[np.float32]:
        """Binary32 norm weights, (count,)."""
        return self.memory[address:address + 4 * count].view(np.float32)

    def ternary(self, address: int, outputs: int, inputs: int) -> NDArray[np.float32] | None:
        """Codes (outputs, inputs), or None when a byte is no five trits. As floats, which the product wants in each pass."""
        size = matmul_beats(inputs, outputs, self.config) * self.config.beat_bytes

        def decode(raw: NDArray[np.uint8]) -> NDArray[np.float32] | None:
            try:
                codes = unpack_matrix(raw.reshape(-1, self.config.beat_bytes), outputs, inputs, self.geometry)
                return codes.astype(np.float32)
            except ValueError:
                return None

        return self._get(("ternary", address, outputs, inputs), size, decode)

    def head(self, address: int, vocab: int, inputs: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """INT8 rows (vocab, inputs) and their binary32 scales (vocab,)."""
        size = head_beats(inputs, vocab, self.config) * self.config.beat_bytes
        block, width = head_block(self.config), beats(inputs, self.config) * self.config.beat_bytes

        def decode(raw: NDArray[np.uint8]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
            blocks = raw.reshape(-1, self.config.beat_bytes + block * width)
            scale = np.ascontiguousarray(blocks[:, :self.config.beat_bytes]).view(np.float32).ravel()
            rows = np.ascontiguousarray(blocks[:, self.config.beat_bytes:]).view(np.int8).reshape(-1, width)
            return rows[:vocab, :inputs].copy(), scale[:vocab].copy()

        return self._get(("head", address, vocab, inputs), size, decode)

    def _get(self, key: tuple, size: int, decode):
        if key not in self._kept:
            self._kept[key] = size, decode(self.memory[key[1]:key[1] + size])
        return self._kept[key][1]
