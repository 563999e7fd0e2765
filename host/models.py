"""Finds models by name, directory or file, and keeps what was compiled."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import terntable.host
import terntable.hw.spec
import terntable.models
import terntable.quant
from terntable.host.arguments import chosen_preset
from terntable.host.compiler import compile_directory
from terntable.host.errors import InputError
from terntable.host.program import Program, ProgramError
from terntable.hw.spec.config import HardwareConfig

__all__ = ["SHIPPED", "cache_folder", "find_model", "load_program"]

#: Models in the package, each a Hugging Face directory.
SHIPPED = ("kjv", "kjv-exits")

#: Modules of the host that decide what a compiled file holds; all of `hw.spec` and `quant` do.
COMPILER = ("compiler.py", "descriptors.py", "layout_plan.py", "program.py")

DEFAULT_PRESET = "tiny"


def find_model(name: str) -> Path:
    """Path of a shipped model, a Hugging Face directory, or a compiled file; InputError for none of them."""
    if name in SHIPPED:
        folder = Path(terntable.models.__path__[0]) / name
        if not folder.is_dir():
            raise InputError(f"The shipped model {name!r} is not at {folder}, so the installation is "
                             "incomplete")
        return folder
    path = Path(name)
    if name and path.is_dir():
        return path
    if path.suffix == ".safetensors" and path.is_file():
        return path
    raise InputError(f"Unknown model {name!r}: neither {', '.join(SHIPPED)}, nor a directory, nor a compiled "
                     ".safetensors file")


def load_program(model: str, preset_name: str | None = None, *, shortlist: bool = False,
                 progress: Callable[[str], None] | None = None) -> Program:
    """The model compiled for a preset, from the cache when nothing has changed since.

    Parameters
    ----------
    model : as :func:`find_model`.
    preset_name : default `tiny`; for a compiled file the one it was made for.
    shortlist : also make what the two-stage head needs; a compiled file must have it already.
    progress : called with a sentence when a model is compiled.

    Raises
    ------
    InputError, CheckpointError, ProgramError
        A name is unknown, a file is damaged, or the model does not fit; the sentence names value and limit.

    """
    path = find_model(model)
    if path.is_file():
        program = Program.load(path)
        if preset_name is not None and program.config != chosen_preset(preset_name):
            made_for = program.config.name
            what = f"a preset {made_for} of other sizes" if made_for == preset_name else f"preset {made_for}"
            raise InputError(f"{path} is compiled for {what}, not for {preset_name}")
        if shortlist and not program.shortlist_words:
            raise InputError(f"{path} is compiled without a shortlist, which the two-stage head needs: compile it with --shortlist")
        return program
    config = chosen_preset(preset_name or DEFAULT_PRESET)
    name = path.resolve().name
    kept = cache_folder() / f"{name}-{config.name}-{'shortlist-' * shortlist}{_key(path, config)}.safetensors"
    try:
        return Program.load(kept)
    except ProgramError:
        # Not there, or damaged: made anew.
        pass
    if progress is not None:
        progress(f"Compiling {name} for {config.name}")
    program = compile_directory(path, config, name=name, shortlist=shortlist)
    try:
        program.save(kept)
    except OSError as error:
        if progress is not None:
            progress(f"The compiled model is not kept: {error}")
    return program


def cache_folder() -> Path:
    """Where compiled models are kept: $TERNTABLE_BUILD, or ``build`` of the checkout, or the user's cache."""
    if chosen := os.environ.get("TERNTABLE_BUILD"):
        return Path(chosen) / "models"
    checkout = Path(__file__).resolve().parents[1]
    if (checkout / "pyproject.toml").is_file() and os.access(checkout, os.W_OK):
        return checkout / "build" / "models"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "terntable" / "models"


def _key(path: Path, config: HardwareConfig) -> str:
    """Hash of all that the compiled file depends on."""
    sources = [Path(terntable.host.__path__[0]) / name for name in COMPILER]
    for package in (terntable.hw.spec, terntable.quant):
        sources += sorted(Path(package.__path__[0]).glob("*.py"))
    digest = hashlib.sha256(repr(config).encode())
    for file in [*sources, *sorted(file for file in path.iterdir() if file.is_file())]:
        try:
            content = file.read_bytes()
        except OSError as error:
            raise InputError(f"{file} cannot be read: {error.strerror}") from error
        digest.update(f"\0{file.name}\0{len(content)}\0".encode() + hashlib.sha256(content).digest())
    return digest.hexdigest()[:16]
