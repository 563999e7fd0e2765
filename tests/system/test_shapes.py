"""Models of other shapes: pairs of heads in a record, one or several planes, the other activation."""

import numpy as np
import pytest

from terntable.hw.spec.config import preset
from terntable.hw.spec.program import RowFlag
from tests.system.models import PAIRED, SHORT, random_program
from tests.system.pair import Pair
from tests.system.rig import chain, tree


@pytest.fixture(scope="module", params=[PAIRED, SHORT], ids=["paired", "short"])
def shaped(request):
    program = random_program(preset("nano"), seed=2, **request.param)
    assert program.kv.pack == 2
    both = Pair(program, stall=0.1, seed=5)
    yield both
    both.close()


def test_prefill_verify_commit_and_decode(shaped):
    """Every pass equals the golden one; the committed branch and what follows it equal plain decoding."""
    shape = shaped.program.shape
    text = np.random.default_rng(4).integers(0, shape.vocab, 9).tolist()
    shaped.clear()
    for at in (0, 3):
        shaped.run(chain(text[at:at + 3], at, flags=RowFlag(0)))
    branches = shaped.run(tree([text[6], 5, text[7]], [-1, -1, 0], 6)).logits.copy()
    shaped.move([(8, 7)])
    after = shaped.run(chain([text[8]], 8)).logits[0].copy()

    shaped.clear()
    plain = [shaped.run(chain([token], n)).logits[0].copy() for n, token in enumerate(text)]
    assert plain[6].tobytes() == branches[0].tobytes() and plain[7].tobytes() == branches[2].tobytes()
    assert plain[8].tobytes() == after.tobytes()


def test_the_last_slot(shaped):
    shape = shaped.program.shape
    text = np.random.default_rng(6).integers(0, shape.vocab, shape.context).tolist()
    shaped.clear()
    for at in range(0, shape.context, 3):
        done = shaped.run(chain(text[at:at + 3], at))
    assert np.isfinite(done.logits).all() and len(set(done.logits[-1].tolist())) > shape.vocab // 2
