"""Passes with the two-stage head on the simulator equal the golden machine; the exact head is what it was."""

import numpy as np
import pytest

from terntable.hw.spec.config import preset
from terntable.hw.spec.layout import shortlist_size
from terntable.hw.spec.program import RowFlag
from tests.system.models import ODD, random_program
from tests.system.pair import Pair
from tests.system.rig import GoldenSide, chain

NANO = preset("nano")
K = shortlist_size(NANO)
#: Not a multiple of the engine's outputs, nor of a block; fewer than the shortlist holds; fewer than the results; the most.
VOCABS = (97, K - 7, NANO.top_k - 1, NANO.max_vocab)


@pytest.fixture(scope="module", params=VOCABS)
def listed(request):
    """Golden machine and simulator with a program that has a shortlist."""
    both = Pair(random_program(NANO, **ODD | {"vocab": request.param}, shortlist=True), stall=0.1, seed=3)
    yield both
    both.close()


def rows_of(pair, count: int, flags: RowFlag = RowFlag.TOP_K, start: int = 0):
    return chain(np.random.default_rng(5).integers(0, pair.program.shape.vocab, count).tolist(), start, flags=flags)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_pass_equals_golden(listed, count):
    listed.clear()
    done = listed.run(rows_of(listed, count), two_stage=True)
    program, config = listed.program, listed.program.config
    assert done.counters["stream_bytes"] == (program.stream_words + program.shortlist_words) * config.word_bytes
    used = min(config.top_k, program.shape.vocab)
    assert (done.best["index"][:, :used] < program.shape.vocab).all() and (done.best["index"][:, used:] == 0xFFFFFFFF).all()
    assert (np.diff(done.best["logit"][:, :used], axis=1) <= 0).all()


def test_candidates_have_their_exact_logits(listed):
    listed.clear()
    two = listed.run(rows_of(listed, 3), two_stage=True).best.copy()
    listed.clear()
    full = listed.run(rows_of(listed, 3), two_stage=False)
    for row, logits in zip(two, listed.run(rows_of(listed, 3, RowFlag.LOGITS)).logits, strict=True):
        used = row["index"] != 0xFFFFFFFF
        assert (logits[row["index"][used]] == row["logit"][used]).all()
    if listed.program.shape.vocab <= K:
        assert two.tobytes() == full.best.tobytes(), "a shortlist of everything misses nothing"


def test_full_logits_take_the_exact_head(listed):
    """One row that wants them is enough, and the pass is then that of a program without a shortlist."""
    listed.clear()
    rows = rows_of(listed, 3)
    rows["flags"][1] = RowFlag.LOGITS
    mixed = listed.run(rows, two_stage=True)
    plain = GoldenSide(random_program(NANO, **ODD | {"vocab": listed.program.shape.vocab}))
    want = plain.run(rows.copy())
    assert mixed.best.tobytes() == want.best.tobytes() and mixed.logits[1].tobytes() == want.logits[1].tobytes()
    assert mixed.counters["stream_bytes"] == want.counters["stream_bytes"]


def test_no_outputs_skip_both_stages(listed):
    listed.clear()
    silent = listed.run(rows_of(listed, 2, RowFlag(0)), two_stage=True).counters["stream_bytes"]
    assert silent == listed.program.stream_words * listed.program.config.word_bytes
    # And the next pass takes them again.
    listed.run(rows_of(listed, 2, start=2), two_stage=True)


def test_some_rows_are_silent(listed):
    listed.clear()
    rows = rows_of(listed, 3)
    rows["flags"][:2] = 0
    listed.run(rows, two_stage=True)
    listed.run(rows_of(listed, 1, start=3), two_stage=True)
