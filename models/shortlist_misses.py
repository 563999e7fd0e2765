"""How often the two-stage head misses what the exact head finds: `python -m terntable.models.shortlist_misses DIRECTORY`.

A causal language model of transformers reads a text; what enters its output layer is quantised as the machine does it, and both
heads order the vocabulary by the golden arithmetic. The model needs torch and transformers, a GGUF file also the package gguf.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from terntable.hw.spec.numbers import HEAD_LIMIT, INT8_LIMIT
from terntable.models.golden.head import logits
from terntable.models.golden.shortlist import scores
from terntable.models.golden.tlmm import ternary_matmul
from terntable.models.golden.topk import topk
from terntable.quant.int8 import rows_int8
from terntable.quant.ternary_rows import rows_ternary

__all__ = ["SIZES", "misses", "output_layer"]

#: Lengths of a shortlist.
SIZES = (8, 16, 32, 64, 128)
#: Candidates of a result whose set is compared.
BEST = 8
#: Token positions at a time, and tokens of a window of text.
CHUNK, WINDOW = 128, 512


def misses(weight: NDArray[np.floating], inputs: NDArray[np.float32],
           sizes: Sequence[int] = SIZES) -> dict[int, tuple[float, float]]:
    """Shares of positions at which the two-stage head misses the exact one's first, and one of its first `BEST`, by list length.

    Parameters
    ----------
    weight : (V, H), of the output layer.
    inputs : (n, H), what enters it.
    sizes : at least `BEST` each.

    """
    head, scale = rows_int8(weight)
    codes, factor = rows_ternary(weight)
    trits = codes.astype(np.float32)
    first, several = dict.fromkeys(sizes, 0), dict.fromkeys(sizes, 0)
    for start in range(0, len(inputs), CHUNK):
        part = inputs[start:start + CHUNK]
        largest = np.maximum(np.abs(part).max(axis=1), 1e-5).astype(np.float32)
        fine = np.rint(part * (HEAD_LIMIT / largest)[:, None]).astype(np.int16)
        coarse = np.rint(part * (INT8_LIMIT / largest)[:, None]).astype(np.int8)
        exact = topk(logits(fine, head, scale, (largest / HEAD_LIMIT).astype(np.float32)), BEST)["index"]
        listed = topk(scores(ternary_matmul(coarse, trits), factor), max(sizes))["index"]
        for size in sizes:
            found = (exact[:, :, None] == listed[:, None, :size]).any(axis=2)
            first[size] += int((~found[:, 0]).sum())
            several[size] += int((~found.all(axis=1)).sum())
    return {size: (first[size] / len(inputs), several[size] / len(inputs)) for size in sizes}


def output_layer(path: Path, text: str, *, gguf: str | None = None,
                 tokens: int = 2000) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight (V, H) of a model's output layer, and what enters it (n, H) at each token of the text's first `tokens`.

    `path` is a Hugging Face directory; with `gguf`, the name of a file in it, that file alone is the model.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {} if gguf is None else {"gguf_file": gguf}
    with torch.compiler.set_stance("force_eager"):
        model = AutoModelForCausalLM.from_pretrained(str(path), dtype=torch.float32, **source).eval()
    ids = AutoTokenizer.from_pretrained(str(path), **source)(text, add_special_tokens=False).input_ids[:tokens]
    layer, seen = model.get_output_embeddings(), []
    layer.register_forward_pre_hook(lambda module, given: seen.append(given[0].detach().float().numpy()[0]))
    with torch.no_grad():
        for window in _windows(ids, min(WINDOW, model.config.max_position_embeddings)):
            model(torch.tensor([window]))
    return layer.weight.detach().float().numpy(), np.concatenate(seen)


def _windows(ids: list[int], length: int) -> Iterator[list[int]]:
    for start in range(0, len(ids), length):
        yield ids[start:start + length]


def _held_out() -> str:
    """The books that the shipped model has not seen."""
    from terntable.models.kjv_recipe import data

    return "".join(data.flatten(data.split(data.load_chapters())[2]))


def main(words: Sequence[str] | None = None) -> int:
    """Print a line for each length of a shortlist."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, nargs="?", default=Path(__file__).parent / "kjv", help="Hugging Face model (kjv)")
    parser.add_argument("--gguf", metavar="FILE", help="GGUF file in the directory, instead of a checkpoint")
    parser.add_argument("--text", type=Path, metavar="FILE", help="what the model reads (books that kjv has not seen)")
    parser.add_argument("--tokens", type=int, default=2000, metavar="N", help="most tokens of it (2000)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args(words)
    text = _held_out() if arguments.text is None else arguments.text.read_text()
    weight, inputs = output_layer(arguments.directory, text, gguf=arguments.gguf, tokens=arguments.tokens)
    found = misses(weight, inputs)
    if arguments.json:
        print(json.dumps({"vocab": weight.shape[0], "hidden": weight.shape[1], "tokens": len(inputs),
                          "misses": {size: {"first": a, f"best_{BEST}": b} for size, (a, b) in found.items()}}))
        return 0
    print(f"vocabulary {weight.shape[0]}, hidden {weight.shape[1]}, {len(inputs)} tokens")
    print("\n".join(f"shortlist of {size:3d}: first missed {a:.2%}, one of the first {BEST} missed {b:.2%}"
                    for size, (a, b) in found.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
