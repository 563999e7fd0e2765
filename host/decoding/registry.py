"""All methods by name, and the reading of a method with options from a command line."""

import importlib
from functools import cache
from typing import Any

from terntable.host.decoding.method import Method
from terntable.host.errors import InputError

__all__ = ["METHODS", "load_all", "load_method", "parse_method"]

#: Name -> module below `terntable.host.decoding.methods` that holds it as METHOD.
METHODS = {
    "greedy": "plain",
    "prompt-lookup": "prompt_lookup",
    "iad": "iad",
    "gad": "gad",
    "gad++": "gad_plus",
    "deer": "deer",
    "assd": "assd",
    "aded": "aded",
    "ppd": "ppd",
    "del": "del_",
    "hidden-transfer": "hidden_transfer",
    "speculative": "speculative",
    "spectr": "spectr",
    "s2d": "s2d",
    "eagle": "eagle",
    "chimera": "chimera",
    "specvlm": "specvlm",
}


@cache
def load_method(name: str) -> Method:
    """The method of a name; InputError lists the known ones."""
    if name not in METHODS:
        raise InputError(f"Unknown method {name!r}; known: {', '.join(METHODS)}")
    return importlib.import_module(f"terntable.host.decoding.methods.{METHODS[name]}").METHOD


def load_all() -> list[Method]:
    """All methods in the order of the table."""
    return [load_method(name) for name in METHODS]


def parse_method(text: str) -> tuple[Method, dict[str, Any]]:
    """A method and its options from ``name`` or ``name:option=value:option=value``; InputError says what is wrong."""
    name, *words = text.split(":")
    method, options = load_method(name), {}
    for word in words:
        option, given, value = word.partition("=")
        method.check_options([option])
        if not given:
            raise InputError(f"An option of method {name} must be as name=value, not {word!r}")
        options[option] = _value(name, option, value, method.options.get(option))
    return method, options


def _value(method: str, option: str, text: str, default: Any) -> Any:
    kind = type(default) if default is not None else int
    try:
        if kind is bool:
            return {"true": True, "false": False}[text]
        return kind(text)
    except (KeyError, ValueError) as error:
        raise InputError(f"Option {option} of method {method} must be of type {kind.__name__}, not {text!r}") from error
