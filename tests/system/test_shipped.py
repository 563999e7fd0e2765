"""The shipped model on the `tiny` preset: prompt, decoding and a tree of eight rows, simulator against golden."""

from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

import terntable.models
from terntable.host.compiler import compile_directory
from terntable.hw.spec.config import preset
from terntable.hw.spec.program import RowFlag
from tests.system.pair import Pair
from tests.system.rig import chain, tree

MODEL = Path(terntable.models.__path__[0]) / "kjv"


@pytest.fixture(scope="module")
def shipped():
    pair = Pair(compile_directory(MODEL, preset("tiny")))
    yield pair
    pair.close()


def test_short_sequences(shipped):
    """Few slots give attention little time between its planes."""
    bos = shipped.program.shape.bos
    for rows in range(1, 6):
        shipped.run(chain([bos, *range(40, 39 + rows)], 0, flags=RowFlag(0)))
    shipped.run(chain([bos], 0, flags=RowFlag(0)))
    for slot in range(1, 5):
        shipped.run(chain([60 + slot], slot, flags=RowFlag(0)))


def test_prompt_decode_and_verify(shipped, capsys):
    config, shape = shipped.program.config, shipped.program.shape
    assert shape.context >= 512 and config.rows == 8
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    text = [shape.bos, *tokenizer.encode("In the beginning God created the heaven and the earth.").ids][:config.rows + 1]

    shipped.run(chain(text[:config.rows], 0, flags=RowFlag(0)))
    one = shipped.run(chain(text[config.rows:], config.rows, flags=RowFlag.TOP_K))
    length, token = len(text), int(one.best[0]["index"][0])

    # A tree of eight nodes: two continuations of the greedy token, each with children.
    likely = one.best[0]["index"][1:4].tolist()
    nodes = [token, likely[0], *likely, *likely[:3]]
    eight = shipped.run(tree(nodes, [-1, -1, 0, 0, 1, 2, 2, 5], length))
    assert eight.counters["stream_bytes"] == one.counters["stream_bytes"]
    assert eight.cycles <= 1.15 * one.cycles, "eight rows must cost about what one row costs"

    with capsys.disabled():
        print(f"\ncycles of a pass: {one.cycles} with 1 row at slot {config.rows}, {eight.cycles} with 8 rows at slot {length}")

    shipped.move([(length + 2, length + 1)])
    after = shipped.run(chain([7], length + 2))
    assert np.isfinite(after.logits).all()
