"""Tensors of a directory of safetensors files, read with NumPy alone, bfloat16 included."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from terntable.quant.checkpoint import CheckpointError
from terntable.quant.huggingface_config import read_json
from terntable.quant.places import first_place

__all__ = ["FLOAT_TYPES", "INDEX_NAME", "SINGLE_NAME", "TensorStore"]

SINGLE_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"
FLOAT_TYPES = ("F16", "BF16", "F32")
# NumPy has no bfloat16: its 16 bits are read as an integer and become the upper half of a float32.
_NUMPY_TYPES = {"U8": "u1", "F16": "<f2", "BF16": "<u2", "F32": "<f4"}
_CHECKED_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class _Entry:
    file: Path
    dtype: str
    shape: tuple[int, ...]
    offset: int


class TensorStore:
    """The named tensors of one checkpoint directory, in one file or in shards with an index.

    Raises :class:`CheckpointError` if no file is found, a file is truncated or malformed, or index and shards
    disagree.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.directory = Path(path)
        single, index = self.directory / SINGLE_NAME, self.directory / INDEX_NAME
        if single.exists():
            self._entries = _read_header(single)
        elif index.exists():
            self._entries = _read_index(index)
        else:
            raise CheckpointError(f"{self.directory} holds neither {SINGLE_NAME} nor {INDEX_NAME}")

    @property
    def names(self) -> list[str]:
        """All tensor names, in the order of the files."""
        return list(self._entries)

    def file(self, name: str) -> Path:
        """Return the file that holds, or should hold, the tensor."""
        entry = self._entries.get(name)
        return entry.file if entry else self.directory

    def dtype(self, name: str) -> str:
        """Type of a tensor in the words of safetensors, such as ``"BF16"``."""
        return self._entry(name).dtype

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor."""
        return self._entry(name).shape

    def read_bytes(self, name: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Read a uint8 tensor that must have the shape."""
        return self._read(name, shape, ("U8",))

    def read_floats(self, name: str, shape: tuple[int, ...]) -> NDArray[np.floating]:
        """Read a float tensor that must have the shape: float16 as it is, bfloat16 and float32 as float32.

        NaN and infinity are refused.
        """
        raw = self._read(name, shape, FLOAT_TYPES)
        if self.dtype(name) == "BF16":
            wide = raw.astype(np.uint32)
            wide <<= 16
            raw = wide.view(np.float32)
        flat = raw.reshape(-1)
        for start in range(0, flat.size, _CHECKED_AT_ONCE):
            bad = ~np.isfinite(flat[start:start + _CHECKED_AT_ONCE])
            if bad.any():
                place = first_place(~np.isfinite(raw))
                raise CheckpointError(f"{self.file(name)}: tensor {name!r} holds {raw[place]} "
                                      f"at index {place}, but must be finite")
        return raw

    def _entry(self, name: str) -> _Entry:
        if name not in self._entries:
            raise CheckpointError(f"{self.directory}: tensor {name!r} is missing")
        return self._entries[name]

    def _read(self, name: str, shape: tuple[int, ...], dtypes: tuple[str, ...]) -> NDArray:
        entry = self._entry(name)
        if entry.dtype not in dtypes:
            raise CheckpointError(f"{entry.file}: tensor {name!r} is of type {entry.dtype}, "
                                  f"but must be {' or '.join(dtypes)}")
        if entry.shape != shape:
            raise CheckpointError(f"{entry.file}: tensor {name!r} has shape {entry.shape}, "
                                  f"but the configuration asks for {shape}")
        count = int(np.prod(shape, dtype=np.int64))
        try:
            values = np.fromfile(entry.file, _NUMPY_TYPES[entry.dtype], count, offset=entry.offset)
        except OSError as error:
            raise CheckpointError(f"{entry.file} cannot be read: {error}") from error
        if values.size != count:
            raise CheckpointError(f"{entry.file}: tensor {name!r} has {values.size} values left, "
                                  f"but needs {count}: the file shrank while it was read")
        return values.reshape(shape)


def _read_header(file: Path) -> dict[str, _Entry]:
    try:
        # Opening checks the whole header: offsets without gaps or overlaps, sizes, the length of the file.
        with safe_open(file, framework="numpy"):
            pass
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(length))
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{file} is not a whole safetensors file: {error}") from error
    header.pop("__metadata__", None)
    return {name: _Entry(file, entry["dtype"], tuple(entry["shape"]), 8 + length + entry["data_offsets"][0])
            for name, entry in header.items()}


def _read_index(index: Path) -> dict[str, _Entry]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index}: weight_map must be an object that names the file of each tensor")
    shards: dict[str, dict[str, _Entry]] = {}
    entries = {}
    for name, shard in weight_map.items():
        if not isinstance(shard, str) or Path(shard).name != shard:
            raise CheckpointError(f"{index}: the file of tensor {name!r} is {shard!r}, "
                                  "but must be a name inside the directory")
        if shard not in shards:
            if not (index.parent / shard).is_file():
                raise CheckpointError(f"{index.parent / shard} is missing, but {index.name} names it")
            shards[shard] = _read_header(index.parent / shard)
        if name not in shards[shard]:
            raise CheckpointError(f"{index.parent / shard}: tensor {name!r} is missing, "
                                  f"but {index.name} names it")
        entries[name] = shards[shard][name]
    return entries
