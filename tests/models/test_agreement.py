"""The golden machine against transformers' BitNet on held-out King James text.

Golden quantises what the reference keeps in float: keys and values (INT8), queries (INT8), the head's weights (INT8) and inputs (16
bits). The two must still pick the same next token and give the same perplexity within the bounds that the documents state.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import BitNetForCausalLM

import terntable.models
from terntable.host.compiler import compile_directory
from terntable.hw.spec.config import preset
from terntable.hw.spec.program import RowFlag
from terntable.models.kjv_recipe.data import encode, flatten, load_chapters, split
from tests.system.rig import GoldenSide, chain

MODEL = Path(terntable.models.__path__[0]) / "kjv"
#: Chapters of the held-out books whose first tokens are compared, and how many of each.
CHAPTERS, LENGTH = 6, 448
#: Least share of equal next tokens, and largest relative change of perplexity. docs/figures.md says where the rest goes.
TOP1, PERPLEXITY = 0.98, 0.005
#: Results do not depend on the rows of a pass, so a wide instance saves time.
WIDE = replace(preset("tiny"), name="wide", rows=64)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def loss(logits: np.ndarray, tokens: list[int]) -> np.ndarray:
    """Nats of each next token."""
    shifted = logits[:-1].astype(np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(shifted)), tokens[1:]]


def held_out() -> list[list[int]]:
    """The first tokens of the longest held-out chapters."""
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    _, _, books = split(load_chapters())
    chapters = sorted(flatten(books), key=len, reverse=True)[:CHAPTERS]
    return [encode(tokenizer, [chapter])[:LENGTH].tolist() for chapter in chapters]


def reference_logits(texts: list[list[int]]) -> list[np.ndarray]:
    """Logits of transformers' model, (tokens, vocab) for each text."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.compiler.set_stance("force_eager")
    model = BitNetForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
    with torch.no_grad():
        results = [model(torch.tensor([text])).logits[0].numpy() for text in texts]
    torch.set_num_threads(threads)
    return results


@pytest.fixture(scope="module")
def texts() -> list[list[int]]:
    return held_out()


@pytest.fixture(scope="module")
def golden(texts) -> list[np.ndarray]:
    side = GoldenSide(compile_directory(MODEL, WIDE))
    results = []
    for text in texts:
        parts = [side.run(chain(text[at:at + WIDE.rows], at, flags=RowFlag.LOGITS)).logits.copy()
                 for at in range(0, len(text), WIDE.rows)]
        results.append(np.concatenate(parts))
    return results


@pytest.fixture(scope="module")
def reference(texts) -> list[np.ndarray]:
    return reference_logits(texts)


def test_top1_and_perplexity(texts, golden, reference, capsys):
    agree = np.concatenate([ours.argmax(1) == theirs.argmax(1) for ours, theirs in zip(golden, reference, strict=True)])
    ours = np.concatenate([loss(logits, text) for logits, text in zip(golden, texts, strict=True)])
    theirs = np.concatenate([loss(logits, text) for logits, text in zip(reference, texts, strict=True)])
    change = np.exp(ours.mean() - theirs.mean()) - 1
    with capsys.disabled():
        print(f"\n{len(agree)} held-out tokens: top-1 agreement {agree.mean():.4%}, perplexity golden {np.exp(ours.mean()):.4f}, "
              f"transformers {np.exp(theirs.mean()):.4f} ({change:+.3%})")
    assert agree.mean() >= TOP1
    assert abs(change) <= PERPLEXITY
