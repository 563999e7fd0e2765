"""Between text and tokens: prompts, streams that never split a character, stop strings."""

from collections.abc import Sequence

from tokenizers import Tokenizer

from terntable.host.errors import InputError

__all__ = ["StopStrings", "TextStream", "encode_prompt", "load_tokenizer"]

#: What a decoder gives for bytes that are no character, or not one yet.
REPLACEMENT = "\ufffd"


def load_tokenizer(data: bytes) -> Tokenizer:
    """The tokenizer of the text of a tokenizer.json; InputError if it is empty or malformed."""
    if not data:
        raise InputError("The model has no tokenizer, so it takes token ids, not text")
    try:
        return Tokenizer.from_buffer(data)
    except Exception as error:    # what the tokenizers library raises has no narrower class
        raise InputError(f"The model's tokenizer.json is malformed: {error}") from error


def encode_prompt(tokenizer: Tokenizer, prompt: str, bos: int | None) -> list[int]:
    """Token ids of a prompt, after the token that begins a sequence; InputError for an empty prompt."""
    try:
        # Bytes of a command line that are not UTF-8 arrive as surrogates.
        prompt.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"The prompt must be valid Unicode, but character {error.start} of {prompt!r} is "
                         "not") from error
    ids = tokenizer.encode(prompt, add_special_tokens=False).ids
    if not ids:
        raise InputError(f"The prompt {prompt!r} has no tokens, but must have at least one")
    return ids if bos is None else [bos, *ids]


class TextStream:
    """Text of a growing sequence of tokens, in pieces of whole characters.

    Parameters
    ----------
    tokenizer : decodes.
    prompt : tokens before the first piece; context, since some decoders drop a space at the start.

    """

    def __init__(self, tokenizer: Tokenizer, prompt: Sequence[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._ids = list(prompt)
        self._start, self._read = 0, len(self._ids)

    def feed(self, token: int) -> str:
        """Add a token; the text that is complete now and was not given before."""
        self._ids.append(token)
        text = self._fresh()
        if text.endswith(REPLACEMENT):
            return ""
        # One step back stays as context for the next piece.
        self._start, self._read = (self._read, len(self._ids)) if text else (self._start, self._read)
        return text

    def finish(self) -> str:
        """What is left, with a replacement character for a torn one."""
        text = self._fresh()
        self._start = self._read = len(self._ids)
        return text

    def _fresh(self) -> str:
        known = self._tokenizer.decode(self._ids[self._start:self._read])
        return self._tokenizer.decode(self._ids[self._start:])[len(known):]


class StopStrings:
    """Ends a text before the first stop string to be complete, in whatever pieces the text comes."""

    def __init__(self, stops: Sequence[str]) -> None:
        if any(not stop for stop in stops):
            raise InputError("A stop string is empty, but must have at least one character")
        self._stops = list(stops)
        self._held = ""
        self.stopped = False

    def feed(self, text: str) -> str:
        """The text that may be shown now; sets `stopped` when a stop string is complete."""
        if self.stopped:
            return ""
        self._held += text
        # First to be complete, and the longest of those, so that pieces make no difference.
        found = min(((place + len(stop), place) for stop in self._stops
                     if (place := self._held.find(stop)) >= 0),
                    default=None)
        if found is not None:
            self.stopped = True
            shown, self._held = self._held[:found[1]], ""
            return shown
        keep = max((n for stop in self._stops for n in range(1, len(stop)) if self._held.endswith(stop[:n])),
                   default=0)
        shown, self._held = self._held[:len(self._held) - keep], self._held[len(self._held) - keep:]
        return shown

    def finish(self) -> str:
        """What was held back because a stop string might have followed."""
        shown, self._held = self._held, ""
        return shown
