"""Whole passes on the simulator equal the golden machine in every byte and every byte count."""

import numpy as np
import pytest

from terntable.hw.spec.program import RowFlag
from tests.system.models import ODD
from tests.system.rig import chain, tree

M = 3           # rows of the preset that these tests run on
VOCAB, CONTEXT = ODD["vocab"], ODD["context"]


def tokens(count: int, seed: int = 7) -> list[int]:
    return np.random.default_rng(seed).integers(0, VOCAB, count).tolist()


def prefill(pair, text: list[int], *, start: int = 0, sequence: int = 0) -> int:
    """Full passes without outputs except the last row's; returns the greedy next token."""
    for at in range(0, len(text), M):
        rows = chain(text[at:at + M], start + at, flags=RowFlag(0))
        if at + M >= len(text):
            rows["flags"][-1] = RowFlag.TOP_K
        done = pair.run(rows, sequence=sequence)
    return int(done.best[len(rows) - 1]["index"][0])


@pytest.mark.parametrize("length", [1, M - 1, M, M + 1, 40])
def test_prefill(pair, length):
    pair.clear()
    assert 0 <= prefill(pair, tokens(length)) < VOCAB


def test_decode(pair):
    pair.clear()
    token = prefill(pair, tokens(5))
    for step in range(32):
        done = pair.run(chain([token], 5 + step, flags=RowFlag.TOP_K))
        token = int(done.best[0]["index"][0])


def test_context_limit(pair):
    pair.clear()
    text = tokens(CONTEXT)
    prefill(pair, text[:-1])
    done = pair.run(chain(text[-1:], CONTEXT - 1))
    assert np.isfinite(done.logits).all()


def test_chain_verification_and_rollback(pair):
    pair.clear()
    text = tokens(12)
    prefill(pair, text[:6])
    wrong = pair.run(chain([text[6], 1, 2], 6)).logits[0].copy()
    again = pair.run(chain(text[6:9], 6)).logits
    assert again[0].tobytes() == wrong.tobytes(), "what followed a token changed its logits"


def test_tree_then_commit_equals_plain_decoding(pair):
    pair.clear()
    text = tokens(9)
    prefill(pair, text[:6])
    branches = pair.run(tree([text[6], 5, text[7]], [-1, -1, 0], 6)).logits
    kept = branches[2].copy()
    pair.move([(8, 7)])
    after = pair.run(chain([text[8]], 8)).logits[0].copy()

    pair.clear()
    prefill(pair, text[:6])
    plain = [pair.run(chain([token], 6 + n)).logits[0].copy() for n, token in enumerate(text[6:9])]
    assert plain[1].tobytes() == kept.tobytes()
    assert plain[2].tobytes() == after.tobytes()


def test_two_sequences(pair):
    pair.clear()
    first, second = tokens(7, seed=1), tokens(8, seed=2)
    prefill(pair, first, sequence=0)
    prefill(pair, second, sequence=1)
    mixed = [pair.run(chain([3], len(text)), sequence=n).logits[0].copy() for n, text in enumerate((first, second))]
    pair.clear()
    prefill(pair, second, sequence=0)
    assert pair.run(chain([3], len(second))).logits[0].tobytes() == mixed[1].tobytes()


def test_given_vectors_equal_tokens(pair):
    pair.clear()
    text, hidden = tokens(2), ODD["hidden"]
    want = pair.run(chain(text, 0)).logits.copy()
    pair.clear()
    rows = chain(text, 0)
    for side in (pair.golden, pair.simulated):
        table = side.region("embed", VOCAB * pair.program.embed_stride).reshape(VOCAB, -1).view(np.float16)
        vectors = table[text, :hidden].astype(np.float32)
        side.region("vectors", vectors.nbytes)[:] = vectors.view(np.uint8).ravel()
    rows["flags"] |= RowFlag.VECTOR
    rows["vector"] = pair.golden.base["vectors"] + 4 * hidden * np.arange(2)
    assert pair.run(rows).logits.tobytes() == want.tobytes()


@pytest.mark.parametrize("sizes", [(1,) * 7, (2, 2, 2, 1), (1, 3, 3), (3, 1, 3)])
def test_row_invariance(pair, sizes):
    """A token's bits depend on no chunking, row, or number of rows."""
    text = tokens(7)
    pair.clear()
    reference = np.concatenate([pair.run(chain([token], n)).logits.copy() for n, token in enumerate(text)])
    pair.clear()
    at, got = 0, []
    for size in sizes:
        got.append(pair.run(chain(text[at:at + size], at)).logits.copy())
        at += size
    assert np.concatenate(got).tobytes() == reference.tobytes()


def test_tree_rows_equal_chains(pair):
    """Each path of a tree gives the bits of the same tokens as a chain, whatever siblings there are."""
    text = tokens(4)
    pair.clear()
    prefill(pair, text)
    branches = pair.run(tree([11, 12, 13], [-1, 0, -1], 4)).logits.copy()
    for row, path in ((1, [11, 12]), (2, [13])):
        pair.clear()
        prefill(pair, text)
        assert pair.run(chain(path, 4)).logits[-1].tobytes() == branches[row].tobytes()


def test_no_outputs_skip_the_head(pair):
    pair.clear()
    silent = pair.run(chain([1, 2], 0, flags=RowFlag(0))).counters["stream_bytes"]
    assert silent == pair.program.stream_words * pair.program.config.word_bytes


def test_verify_pass_reads_each_weight_once(pair):
    pair.clear()
    one = pair.run(chain([1], 0)).counters["stream_bytes"]
    pair.clear()
    assert pair.run(chain([1, 2, 3], 0)).counters["stream_bytes"] == one
