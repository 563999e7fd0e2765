"""Which tokens follow a pair of tokens in a corpus, how often, as a small file.

`python -m terntable.host.decoding.trigrams` counts texts. Each text is one sequence, and no triple reaches over its end.
"""

import argparse
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from terntable.host.errors import InputError

__all__ = ["KEPT", "TrigramCorpus", "main"]

#: Successors of a pair that are kept, the likeliest ones (ADED's number).
KEPT = 12


@dataclass(frozen=True, eq=False)
class TrigramCorpus:
    """Successors of each pair, those of a pair together, likeliest first, lower tokens first among equals.

    Attributes
    ----------
    vocab : number of tokens.
    pairs : (n, 2), in ascending order.
    totals : (n,) how often a pair was followed by any token, those that are not kept included.
    sizes : (n,) kept successors of a pair.
    tokens, counts : (sum of sizes,) the successors, and how often each followed.

    """

    vocab: int
    pairs: NDArray[np.integer]
    totals: NDArray[np.integer]
    sizes: NDArray[np.integer]
    tokens: NDArray[np.integer]
    counts: NDArray[np.integer]

    def __post_init__(self) -> None:
        ends = np.cumsum(self.sizes, dtype=np.int64)
        if len(self.totals) != len(self.pairs) or len(self.sizes) != len(self.pairs) or len(self.tokens) != len(self.counts) \
                or (int(ends[-1]) if len(ends) else 0) != len(self.tokens):
            raise ValueError("The arrays of a trigram table do not fit together")
        object.__setattr__(self, "_ends", ends)
        object.__setattr__(self, "_places", {(a, b): place for place, (a, b) in enumerate(self.pairs.tolist())})

    @classmethod
    def count(cls, texts: Iterable[Sequence[int]], vocab: int, *, kept: int = KEPT, least: int = 1) -> "TrigramCorpus":
        """Count token sequences; of a pair's successors stay the `kept` likeliest of those that followed at least `least` times."""
        triples = [_triples(text, vocab) for text in texts]
        keys, counts = np.unique(np.concatenate([np.zeros(0, np.int64), *triples]), return_counts=True)
        pairs, place = np.unique(keys // vocab, return_inverse=True)
        totals = np.bincount(place, counts, len(pairs)).astype(np.int64)
        # By pair, then by falling count, then by token.
        order = np.lexsort((keys, -counts, place))
        keys, counts, place = keys[order], counts[order], place[order]
        rank = np.arange(len(keys)) - np.searchsorted(place, np.arange(len(pairs)))[place]
        stays = (rank < kept) & (counts >= least)
        keys, counts, place = keys[stays], counts[stays], place[stays]
        sizes = np.bincount(place, minlength=len(pairs))
        used = sizes > 0
        token, index = (np.uint16 if vocab <= 1 << 16 else np.uint32), pairs[used]
        return cls(vocab, np.stack([index // vocab, index % vocab], axis=1).astype(token), totals[used].astype(np.uint32),
                   sizes[used].astype(np.uint8 if kept < 256 else np.uint32), (keys % vocab).astype(token),
                   counts.astype(np.uint16 if counts.max(initial=0) < 1 << 16 else np.uint32))

    @classmethod
    def load(cls, path: Path) -> "TrigramCorpus":
        """Read a file of :meth:`save`; InputError names the file if it is none."""
        try:
            with safe_open(path, "np") as file:
                return cls(int(file.metadata()["vocab"]), *(file.get_tensor(name) for name in _ARRAYS))
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} is not a table of trigrams: {error}") from error

    def save(self, path: Path) -> None:
        """Write a safetensors file."""
        save_file({name: np.ascontiguousarray(getattr(self, name)) for name in _ARRAYS}, path, {"vocab": str(self.vocab)})

    def __len__(self) -> int:
        return len(self.tokens)

    def row(self, pair: tuple[int, int]) -> dict[int, float]:
        """Successors of a pair, each with its part of all that followed; empty for an unknown pair."""
        place = self._places.get(pair)  # type: ignore[attr-defined]
        if place is None:
            return {}
        end = int(self._ends[place])  # type: ignore[attr-defined]
        start, total = end - int(self.sizes[place]), int(self.totals[place])
        return {token: count / total
                for token, count in zip(self.tokens[start:end].tolist(), self.counts[start:end].tolist(), strict=True)}


_ARRAYS = ("pairs", "totals", "sizes", "tokens", "counts")


def _triples(text: Sequence[int], vocab: int) -> NDArray[np.int64]:
    ids = np.asarray(text, np.int64)
    return (ids[:-2] * vocab + ids[1:-1]) * vocab + ids[2:] if len(ids) > 2 else np.zeros(0, np.int64)


def main(arguments: list[str] | None = None) -> int:
    """Count the triples of tokens in texts, for method aded."""
    parser = argparse.ArgumentParser(prog="python -m terntable.host.decoding.trigrams", description=main.__doc__)
    parser.add_argument("texts", nargs="*", type=Path, metavar="TEXT", help="files in UTF-8 (the books that kjv was trained on)")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--tokenizer", type=Path, metavar="FILE", help="tokenizer.json of the model")
    source.add_argument("--answers", metavar="MODEL", help="count the answers of a chat model to made-up questions, not texts")
    parser.add_argument("--questions", type=int, default=320, metavar="N", help="how many of them (320)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="what is written, of safetensors")
    parser.add_argument("--least", type=int, default=1, metavar="N", help="leave out triples that occur less often (1)")
    parser.add_argument("--kept", type=int, default=KEPT, metavar="N", help=f"successors of a pair that are kept ({KEPT})")
    chosen = parser.parse_args(arguments)
    if chosen.answers is not None:
        texts, vocab = _answered(chosen.answers, chosen.questions)
    else:
        tokenizer = Tokenizer.from_file(str(chosen.tokenizer))
        texts, vocab = _encoded(tokenizer, chosen.texts), tokenizer.get_vocab_size()
    table = TrigramCorpus.count(texts, vocab, kept=chosen.kept, least=chosen.least)
    table.save(chosen.out)
    print(f"{chosen.out}: {len(table)} triples after {len(table.pairs)} pairs, {chosen.out.stat().st_size} bytes", file=sys.stderr)
    return 0


def _answered(model: str, count: int) -> tuple[Iterable[Sequence[int]], int]:
    from terntable.host.decoding.loading import load_model
    from terntable.host.decoding.training.answers import answers

    causal = load_model(model)
    return answers(causal, count, progress=lambda said: print(said, file=sys.stderr)), causal.model.config.vocab_size


def _encoded(tokenizer: Tokenizer, paths: Sequence[Path]) -> Iterable[Sequence[int]]:
    if paths:
        return [tokenizer.encode(path.read_text(encoding="utf-8"), add_special_tokens=False).ids for path in paths]
    from terntable.models.kjv_recipe.data import encode, flatten, load_chapters, split

    training, _, _ = split(load_chapters())
    return [encode(tokenizer, [chapter]).tolist() for chapter in flatten(training)]


if __name__ == "__main__":
    sys.exit(main())
