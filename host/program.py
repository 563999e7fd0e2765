"""A compiled model: descriptors, laid-out weights and tables for one hardware configuration, in one safetensors file."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from terntable.hw.spec.config import HardwareConfig
from terntable.hw.spec.layout import KvLayout, embed_stride, logits_stride
from terntable.hw.spec.registers import VERSION

__all__ = ["DEVICE_PARTS", "ModelShape", "Program", "ProgramError"]

#: Tensors that devices read.
DEVICE_PARTS = ("program", "moves", "stream", "embed", "rope")
#: Tensors of the file, all uint8.
PARTS = (*DEVICE_PARTS, "tokenizer")
KEY = "terntable"


class ProgramError(ValueError):
    """A model does not fit a configuration, or a compiled file is missing, damaged or of another version."""


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """Sizes of a model as the accelerator sees them; `context` is what both the model and the instance hold."""

    name: str
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    context: int
    parameters: int
    bos: int | None
    eos: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Program:
    """What a device needs to run a model.

    Attributes
    ----------
    program, moves : descriptors (bytes) of a pass, and of a KV compaction.
    stream : weight stream; its first `stream_words` words come before the head's `head_words`; then, if `shortlist_words` is not
        0, the shortlist, which is so many words of its matrix and its scales.
    embed, rope : tables at their base registers.
    tokenizer : tokenizer.json, empty when the model has none.
    weights, stored : ternary weights, and trits stored for them with padding.

    """

    config: HardwareConfig
    shape: ModelShape
    stream_words: int
    head_words: int
    shortlist_words: int
    weights: int
    stored: int
    program: NDArray[np.uint8]
    moves: NDArray[np.uint8]
    stream: NDArray[np.uint8]
    embed: NDArray[np.uint8]
    rope: NDArray[np.uint8]
    tokenizer: NDArray[np.uint8]

    @property
    def kv(self) -> KvLayout:
        """Layout of one sequence's KV cache."""
        s = self.shape
        return KvLayout(layers=s.layers, heads=s.heads, kv_heads=s.kv_heads, head_dim=s.head_dim, context=s.context,
                        beat_bytes=self.config.beat_bytes, port_bytes=self.config.port_bytes)

    @property
    def embed_stride(self) -> int:
        """Bytes between embedding rows."""
        return embed_stride(self.shape.hidden, self.config)

    @property
    def logits_stride(self) -> int:
        """Bytes between rows of full logits."""
        return logits_stride(self.shape.vocab, self.config)

    @property
    def padding_share(self) -> float:
        """Share of the stored trits that are padding, 0 to 1."""
        return 1 - self.weights / self.stored

    def save(self, path: Path) -> None:
        """Write the file in one atomic step; a failed write leaves what was there."""
        tensors = {name: getattr(self, name) for name in PARTS}
        header = {
            "version": VERSION, "config": asdict(self.config), "shape": asdict(self.shape),
            **{name: getattr(self, name) for name in ("stream_words", "head_words", "shortlist_words", "weights", "stored")},
        }
        header["sha256"] = _checksums(header, tensors)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not the tempfile module, whose files only their owner may read.
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            partial.write_bytes(save(tensors, metadata={KEY: json.dumps(header)}))
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, path: Path) -> "Program":
        """Read and verify a file; ProgramError names what is wrong with it."""
        if not path.is_file():
            raise ProgramError(f"no compiled model at {path}")
        try:
            with safe_open(path, framework="numpy") as file:
                header = json.loads((file.metadata() or {}).get(KEY, "null"))
                tensors = {name: file.get_tensor(name) for name in PARTS if name in set(file.keys())}
        except (SafetensorError, OSError, json.JSONDecodeError) as error:
            raise ProgramError(f"{path} is not a compiled model: {error}") from error
        if not isinstance(header, dict) or set(tensors) != set(PARTS):
            raise ProgramError(f"{path} is not a compiled model: it lacks its header or one of {', '.join(PARTS)}")
        if header.get("version") != VERSION:
            raise ProgramError(f"{path} has program format {header.get('version')}, this version reads {VERSION}")
        wanted = header.get("sha256")
        for name, digest in _checksums(header, tensors).items():
            if not isinstance(wanted, dict) or wanted.get(name) != digest:
                raise ProgramError(f"{path}: the checksum of {name} does not match, so the file is damaged")
        try:
            shape = header["shape"] | {"eos": tuple(header["shape"]["eos"])}
            names = {field.name for field in fields(cls)} - {"config", "shape"} - set(PARTS)
            return cls(config=HardwareConfig(**header["config"]), shape=ModelShape(**shape), **tensors,
                       **{name: header[name] for name in names})
        except (KeyError, TypeError, ValueError) as error:
            raise ProgramError(f"{path} has a malformed header: {error}") from error


def _checksums(header: dict[str, Any], tensors: dict[str, NDArray[np.uint8]]) -> dict[str, str]:
    """SHA-256 of each tensor with its type and shape, and of the header without the checksums."""
    sums = {name: hashlib.sha256(f"{tensors[name].dtype}{tensors[name].shape}".encode() + tensors[name].tobytes())
            for name in PARTS}
    rest = {name: value for name, value in header.items() if name != "sha256"}
    sums["header"] = hashlib.sha256(json.dumps(rest, sort_keys=True).encode())
    return {name: digest.hexdigest() for name, digest in sums.items()}
