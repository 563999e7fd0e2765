"""As much of Tcl as the board's scripts use: words, substitution, procedures, foreach, if, source, a few of file and info."""

import re
from collections.abc import Callable

__all__ = ["Tcl", "TclError", "elements", "joined"]

_NAME = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


class TclError(Exception):
    """A script is not Tcl, or says `error`."""


class _Return(Exception):
    """What `return` was given."""


def _closing(text: str, start: int) -> int:
    """The place of the brace that closes the one at `start`."""
    depth = 0
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if not depth:
            return place
    raise TclError(f"missing close-brace after {text[start:start + 40]!r}")


def elements(text: str) -> list[str]:
    """A string as a list."""
    found, place = [], 0
    while match := re.compile(r"\s*(\S)").match(text, place):
        place = match.start(1)
        end = _closing(text, place) + 1 if match[1] == "{" else re.compile(r"\S+").match(text, place).end()
        found.append(text[place + 1:end - 1] if match[1] == "{" else text[place:end])
        place = end
    return found


def joined(items: list[str]) -> str:
    """A list as a string."""
    return " ".join(item if re.fullmatch(r"[^\s{}]+", item) else f"{{{item}}}" for item in items)


class Tcl:
    """An interpreter. `commands` do what Tcl's own do not: each takes its words and gives a string.

    `files` are the texts that `source` may read, by name. `called` has every command that is not Tcl's own, with its words.
    """

    def __init__(self, commands: dict[str, Callable[..., str]], files: dict[str, str]) -> None:
        self.commands, self.files = commands, files
        self.called: list[list[str]] = []
        self.printed: list[str] = []
        self._scopes: list[dict[str, str]] = [{}]
        self._procedures: dict[str, tuple[list[str], str]] = {}

    def run(self, text: str) -> str:
        """The value of the last command of a script."""
        text, place, result = re.sub(r"\\\n[ \t]*", " ", text), 0, ""
        while place < len(text):
            words, place = self._command(text, place, "")
            result = self._call(words) if words else result
        return result

    def _command(self, text: str, place: int, stop: str) -> tuple[list[str], int]:
        """The words of the next command and the place after it."""
        words: list[str] = []
        while place < len(text):
            if text[place] in " \t":
                place += 1
            elif text[place] in f"\n;{stop}":
                if words or text[place] == stop:
                    break
                place += 1
            elif text[place] == "#" and not words:
                place = (text + "\n").index("\n", place)
            else:
                word, place = self._word(text, place, stop)
                words.append(word)
                if place < len(text) and text[place] not in f" \t\n;{stop}":
                    raise TclError(f"extra characters after a word: {text[place:place + 40]!r}")
        return words, place

    def _word(self, text: str, place: int, stop: str) -> tuple[str, int]:
        if text[place] == "{":
            end = _closing(text, place)
            return text[place + 1:end], end + 1
        if text[place] == '"':
            word, place = self._substituted(text, place + 1, '"')
            if not text[place:].startswith('"'):
                raise TclError('missing "')
            return word, place + 1
        return self._substituted(text, place, f" \t\n;{stop}")

    def _substituted(self, text: str, place: int, ends: str) -> tuple[str, int]:
        word = ""
        while place < len(text) and text[place] not in ends:
            if match := _NAME.match(text, place):
                name = match[1] or match[2]
                if name not in self._scopes[-1]:
                    raise TclError(f'can\'t read "{name}": no such variable')
                word += self._scopes[-1][name]
                place = match.end()
            elif text[place] == "[":
                words, place = self._command(text, place + 1, "]")
                if not text[place:].startswith("]"):
                    raise TclError("missing close-bracket")
                word, place = word + self._call(words), place + 1
            elif text[place] in "$\\{}":
                raise TclError(f"this interpreter does not know {text[place:place + 20]!r}")
            else:
                word, place = word + text[place], place + 1
        return word, place

    def _call(self, words: list[str]) -> str:
        name, *rest = words
        if name in self._procedures:
            return self._procedure(name, rest)
        if own := getattr(self, f"_tcl_{name}", None):
            return own(*rest)
        self.called.append(words)
        if name not in self.commands:
            raise TclError(f'invalid command name "{name}"')
        return self.commands[name](*rest)

    def _procedure(self, name: str, values: list[str]) -> str:
        names, body = self._procedures[name]
        if len(names) != len(values):
            raise TclError(f'wrong # args: should be "{name} {" ".join(names)}"')
        self._scopes.append(dict(zip(names, values, strict=True)))
        try:
            return self.run(body)
        except _Return as value:
            return str(value)
        finally:
            self._scopes.pop()

    def _tcl_set(self, name: str, value: str) -> str:
        self._scopes[-1][name] = value
        return value

    def _tcl_proc(self, name: str, names: str, body: str) -> str:
        self._procedures[name] = elements(names), body
        return ""

    def _tcl_return(self, value: str = "") -> str:
        raise _Return(value)

    def _tcl_error(self, text: str) -> str:
        raise TclError(text)

    def _tcl_puts(self, text: str) -> str:
        self.printed.append(text)
        return ""

    def _tcl_list(self, *items: str) -> str:
        return joined(list(items))

    def _tcl_foreach(self, names: str, values: str, body: str) -> str:
        wanted, items = elements(names), elements(values)
        if len(items) % len(wanted):
            raise TclError(f"foreach {names} over {len(items)} items")
        for start in range(0, len(items), len(wanted)):
            self._scopes[-1].update(zip(wanted, items[start:start + len(wanted)], strict=True))
            self.run(body)
        return ""

    def _tcl_if(self, condition: str, body: str) -> str:
        words, place = self._command(condition, 0, "")
        if len(words) != 3 or words[1] not in ("eq", "ne") or condition[place:].strip():
            raise TclError(f"this interpreter compares strings only, not {condition!r}")
        return self.run(body) if (words[0] == words[2]) == (words[1] == "eq") else ""

    def _tcl_source(self, name: str) -> str:
        if name not in self.files:
            raise TclError(f"couldn't read file {name!r}")
        return self.run(self.files[name])

    def _tcl_info(self, what: str) -> str:
        return {"script": "project/script.tcl"}[what]

    def _tcl_file(self, what: str, *rest: str) -> str:
        if what == "copy":
            self.called.append(["file", "copy", *rest])
            return ""
        return {"dirname": rest[0].rpartition("/")[0], "normalize": rest[0]}[what]
