"""Trained parts of methods: small safetensors files, kept by the model that they were trained for."""

import json
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from terntable.host.errors import InputError

__all__ = ["SHIPPED_PARTS", "kept", "load_part", "part_file", "save_part"]

T = TypeVar("T")

#: Folder of the parts that are shipped: MODEL/NAME.safetensors.
SHIPPED_PARTS = Path(__file__).parent / "trained"


def part_file(model: str | None, name: str, folder: Path | None = None) -> Path | None:
    """File of a part for a model, None if there is none; a folder of one's own is looked into first."""
    for place in (folder, SHIPPED_PARTS):
        if place is not None and model is not None and (file := place / model / f"{name}.safetensors").is_file():
            return file
    return None


#: What was made of files, by file and key, with the time that the file had.
_KEPT: dict[tuple[Hashable, ...], tuple[int, Any]] = {}


def kept(file: Path | None, make: Callable[[], T], *key: Hashable) -> T:
    """What `make` gives of a part's file; made anew only for another key, or once the file has changed.

    A method is put together for every generation, and to build a small model takes as long as some of its tokens. Without a file
    `make` is called each time, to say what is missing.
    """
    if file is None:
        return make()
    place, time = (file, *key), file.stat().st_mtime_ns
    if place not in _KEPT or _KEPT[place][0] != time:
        _KEPT[place] = time, make()
    return _KEPT[place][1]


def load_part(method: str, model: str | None, name: str, folder: Path | None = None,
              ) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """Recipe and tensors of the part that a method needs.

    Raises
    ------
    InputError
        There is none for the model, or the file is damaged.

    """
    file = part_file(model, name, folder)
    if file is None:
        raise InputError(f"Method {method} needs the trained part {name} for the model, but there is none for "
                         f"{model or 'one without a name'}: python -m terntable.host.decoding.training {name} --model MODEL")
    try:
        with safe_open(file, framework="numpy") as opened:
            recipe = json.loads((opened.metadata() or {})["recipe"])
            return recipe, {key: opened.get_tensor(key) for key in opened.keys()}
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise InputError(f"The trained part {file} is damaged: {error}") from error


def save_part(file: Path, recipe: Mapping[str, Any], tensors: Mapping[str, NDArray]) -> None:
    """Write a part; floating-point tensors are kept in half precision."""
    file.parent.mkdir(parents=True, exist_ok=True)
    small = {key: np.ascontiguousarray(value.astype(np.float16) if np.issubdtype(value.dtype, np.floating) else value)
             for key, value in tensors.items()}
    partial = file.with_suffix(".partial")
    save_file(small, partial, metadata={"recipe": json.dumps(recipe, sort_keys=True)})
    partial.replace(file)
