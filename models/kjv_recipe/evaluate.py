"""Bits per byte on the held-out books: `python -m terntable.models.kjv_recipe.evaluate`.

Every book is its own stream `<|bos|> chapter <|eos|> <|bos|> chapter ...`. The bits of all text tokens and
of the `<|eos|>` after each chapter count, those of `<|bos|>`, which always follows, do not; the bytes are
those of the text.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from terntable.models.kjv_recipe import data
from terntable.models.kjv_recipe.ngram import KneserNey
from terntable.models.kjv_recipe.train import BUILD, load_network

Bits = Callable[[np.ndarray], np.ndarray]
"""Function of a token stream that returns the bits of each token but the first."""

Logits = Callable[[torch.Tensor], torch.Tensor]
"""Function from (1, length) tokens to (1, length, vocabulary) logits."""


def windowed_bits(logits: Logits, *, context: int = 512, stride: int = 256) -> Bits:
    """Score each token once, in windows of `context` tokens that advance by `stride`."""
    if not 0 < stride <= context:
        raise ValueError(f"a stride of {stride} must be in 1 ... the context of {context}")

    @torch.no_grad()
    def bits(tokens: np.ndarray) -> np.ndarray:
        stream = torch.from_numpy(tokens)
        result = np.zeros(len(tokens) - 1)
        done = 0
        start = 0
        while done < len(result):
            window = stream[start : start + context + 1]
            scores = torch.log_softmax(logits(window[None, :-1])[0].double(), dim=-1)
            chosen = scores.gather(1, window[1:, None])[:, 0].numpy() / -np.log(2)
            result[done : start + len(chosen)] = chosen[done - start :]
            done = start + len(chosen)
            start += stride
        return result

    return bits


def bits_per_byte(bits: Bits, tokenizer: Tokenizer, books: dict[str, list[str]]) -> dict[str, float]:
    """Return bits per UTF-8 byte of each book and of all together under `total`."""
    bos, _ = data.marks(tokenizer)
    result: dict[str, float] = {}
    all_bits, all_bytes = 0.0, 0
    for book, chapters in books.items():
        tokens = data.encode(tokenizer, chapters)
        book_bits = float(bits(tokens)[tokens[1:] != bos].sum())
        book_bytes = sum(len(chapter.encode("utf-8")) for chapter in chapters)
        result[book] = book_bits / book_bytes
        all_bits += book_bits
        all_bytes += book_bytes
    result["total"] = all_bits / all_bytes
    return result


def load_exported(directory: Path) -> Logits:
    """Return the logits function of transformers' BitNetForCausalLM of an exported directory, in float32."""
    # Imported here: training and the n-gram baseline work without transformers.
    from transformers import BitNetForCausalLM

    model = BitNetForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()

    def logits(tokens: torch.Tensor) -> torch.Tensor:
        return model(tokens).logits

    return logits


def sample(
    logits: Logits,
    tokenizer: Tokenizer,
    prompt: str,
    *,
    length: int,
    temperature: float,
    seed: int,
    context: int = 512,
) -> str:
    """Return the prompt and up to `length` sampled tokens; ends early at `<|eos|>`."""
    generator = torch.Generator().manual_seed(seed)
    tokens = tokenizer.encode(prompt).ids
    _, eos = data.marks(tokenizer)
    for _ in range(length):
        with torch.no_grad():
            last = logits(torch.tensor([tokens[-context:]]))[0, -1]
        choice = int(torch.multinomial(torch.softmax(last / temperature, dim=-1), 1, generator=generator))
        if choice == eos:
            break
        tokens.append(choice)
    return tokenizer.decode(tokens, skip_special_tokens=True)


def main(arguments: list[str] | None = None) -> int:
    """Command line; prints one JSON object and returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=("exported", "float", "ngram"), default="exported")
    parser.add_argument("--build", type=Path, default=BUILD, help="directory of checkpoints")
    parser.add_argument("--directory", type=Path, default=Path("models/kjv"), help="exported model")
    parser.add_argument("--sample", metavar="PROMPT", help="print a sample text instead")
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--length", type=int, default=120, help="tokens to sample")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    tokenizer = Tokenizer.from_file(str(options.directory / "tokenizer.json"))
    training, _, held_out = data.split(data.load_chapters())
    if options.model == "ngram":
        tokens = data.encode(tokenizer, data.flatten(training))
        bits: Bits = KneserNey(tokens=tokens, vocabulary=tokenizer.get_vocab_size()).bits
    else:
        if options.model == "exported":
            logits = load_exported(options.directory)
        else:
            logits = load_network(options.build / "float.pt")
        if options.sample is not None:
            print(
                sample(
                    logits,
                    tokenizer,
                    options.sample,
                    length=options.length,
                    temperature=options.temperature,
                    seed=options.seed,
                )
            )
            return 0
        bits = windowed_bits(logits)
    figures = bits_per_byte(bits, tokenizer, held_out)
    print(json.dumps({book: round(value, 4) for book, value in figures.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
