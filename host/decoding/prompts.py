"""Prompts from a file, or from a shipped set."""

import json
from pathlib import Path

from terntable.host.errors import InputError

__all__ = ["SETS", "load_prompts"]

_FOLDER = Path(__file__).parent / "prompt_sets"
#: Shipped sets: answers that copy much of the prompt, open ones, and beginnings of verses that the shipped model has not seen.
SETS = ("copying", "open", "kjv")


def load_prompts(name: str) -> list[str]:
    """Prompts of a shipped set or of a file, whose lines are JSON objects with a `prompt`, or text.

    Raises
    ------
    InputError
        There is no such file, a line is malformed, or there is no prompt in it.

    """
    path = _FOLDER / f"{name}.jsonl" if name in SETS else Path(name)
    if not path.is_file():
        raise InputError(f"Unknown prompts {name!r}: neither {', '.join(SETS)}, nor a file")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"The prompts {path} are not UTF-8: byte {error.start}") from error
    prompts = [_prompt(path, number, line) for number, line in enumerate(lines, start=1) if line.strip()]
    if not prompts:
        raise InputError(f"The file {path} holds no prompt")
    return prompts


def _prompt(path: Path, number: int, line: str) -> str:
    if not line.lstrip().startswith("{"):
        return line
    try:
        prompt = json.loads(line)["prompt"]
    except (json.JSONDecodeError, KeyError) as error:
        raise InputError(f"Line {number} of {path} is no JSON object with a prompt") from error
    if not isinstance(prompt, str) or not prompt:
        raise InputError(f"Line {number} of {path} must have a text as prompt, not {prompt!r}")
    return prompt
