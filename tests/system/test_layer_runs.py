"""Passes cut into layers on the simulator: every byte, states included, is the golden machine's."""

import numpy as np
import pytest

from terntable.host.checked import CheckedSession
from terntable.host.devices.simulator import SimulatorDevice
from terntable.host.loaded import memory_needed
from terntable.host.states import LAST
from terntable.hw.spec.config import preset
from tests.system.models import ODD, PAIRED, random_program

TOKENS = np.random.default_rng(5).integers(0, 61, 16)


@pytest.fixture(scope="module", params=[ODD | {"layers": 3}, PAIRED | {"layers": 3}], ids=["odd", "paired"])
def session(request):
    """A checked session on a simulated `nano`, memory stalls on; every pass is compared."""
    program = random_program(preset("nano"), **request.param)
    with SimulatorDevice(program.config, memory_bytes=memory_needed(program, states=True), stall=0.1, seed=3) as device:
        with CheckedSession(device, program) as opened:
            yield opened


def test_states_of_every_pass(session):
    session.rollback(0)
    session.keep_states((LAST, 0, 2))
    session.extend(TOKENS[:7])
    result = session.verify(TOKENS[7:10], [-1, 0, 0])
    assert session.commit([0, 2])["passes"] == 1
    last = session.states(LAST, 0, 8)
    assert len(np.unique(last)) > 100 and np.isfinite(last).all() and result.counters["cycles"] > 0


def test_rows_that_leave_early_and_then_all_the_way(session):
    session.rollback(0)
    session.keep_states(())
    session.prefill(TOKENS[:4])
    wanted = session.verify(TOKENS[4:7], logits=True).logits.tobytes()
    said = [session.run_ahead(TOKENS[place:place + 1], 1, logits=True).logits for place in (4, 5)]
    assert np.abs(said[0] - said[1]).max() > 0
    assert session.verify(TOKENS[4:7], logits=True).logits.tobytes() == wanted


def test_rows_that_enter_late(session):
    session.rollback(0)
    session.keep_states((1, 2))
    session.prefill(TOKENS[:4])
    wanted = session.verify(TOKENS[4:5], logits=True).logits.tobytes()
    vectors = iter(np.random.default_rng(0).standard_normal((2, session.program.shape.hidden)).astype(np.float32))
    result = session.verify_between(TOKENS[4:5], [-1, 0, 1], [1, 2], lambda row, states: next(vectors), logits=True)
    assert result.logits[0].tobytes() == wanted and result.counters["passes"] == 3
    session.commit([0])
    session.decode(int(TOKENS[5]))
