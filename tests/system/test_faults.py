"""Every fault stops the pass with its cause and index, and the next pass is right."""

from dataclasses import replace

import numpy as np
import pytest

from terntable.hw.spec.program import DESCRIPTOR, Fault, Op, RowFlag
from terntable.models.golden.machine import MachineFault
from terntable.sim.simulator import Port
from tests.system.rig import chain

ROWS = [4, 5]


@pytest.fixture
def recovering(pair):
    """The pair; after the test a pass must succeed and equal the golden one."""
    pair.clear()
    pair.simulated.simulator.write("watchdog", 60_000)
    yield pair
    simulator = pair.simulated.simulator
    simulator.clear_faults()
    simulator.write("watchdog", 0)
    for side in (pair.golden, pair.simulated):
        for name, content in (("program", pair.program.program), ("stream", pair.program.stream), ("embed", pair.program.embed)):
            side.region(name, len(content))[:] = content
        for name in ("rows", "result", "logits"):
            side.region(name, 256)[:] = 0
    pair.golden.machine.weights.written(0, len(pair.golden.memory))
    pair.golden.memory[:] = pair.simulated.memory
    pair.clear()
    pair.run(chain(ROWS, 0))


def stopped(side, rows) -> tuple[Fault, int]:
    with pytest.raises(MachineFault) as caught:
        side.run(rows)
    return caught.value.cause, caught.value.index


@pytest.mark.parametrize("region", ["rows", "program", "embed", "rope", "stream", "kv0"])
def test_read_error(recovering, region):
    base = recovering.simulated.base[region] + (ROWS[0] * recovering.program.embed_stride if region == "embed" else 0)
    recovering.simulated.simulator.fault(base, base + 63)
    cause, _ = stopped(recovering.simulated, chain(ROWS, 0))
    # The KV region is written before it is read.
    assert cause == (Fault.WRITE_ERROR if region == "kv0" else Fault.READ_ERROR)


@pytest.mark.parametrize("region", ["result", "logits"])
def test_write_error(recovering, region):
    base = recovering.simulated.base[region]
    recovering.simulated.simulator.fault(base, base + 63)
    assert stopped(recovering.simulated, chain(ROWS, 0))[0] == Fault.WRITE_ERROR


def _patch(pair, index: int, **values) -> None:
    for side in (pair.golden, pair.simulated):
        descriptors = side.region("program", len(pair.program.program)).view(DESCRIPTOR)
        for name, value in values.items():
            descriptors[index][name] = value


@pytest.mark.parametrize(("op", "values"), [
    (None, {"op": 77}), (Op.VEC, {"a": 9}), (Op.VEC, {"b": 5}), (Op.VEC, {"c": 8}), (Op.MATMUL, {"length": 60_000}),
    (Op.MATMUL, {"offset": 0}), (Op.KV_STORE, {"c": 0}), (Op.ATTENTION, {"c": 3}), (Op.EMBED, {"length": 0}),
])
def test_bad_descriptor(recovering, op, values):
    ops = recovering.program.program.view(DESCRIPTOR)["op"]
    index = 20 if op is None else int(np.flatnonzero(ops == op)[-1])
    _patch(recovering, index, **values)
    assert stopped(recovering.simulated, chain(ROWS, 0)) == (Fault.BAD_DESCRIPTOR, index)


def test_program_that_leaves_weights_over(recovering):
    index = int(np.flatnonzero(recovering.program.program.view(DESCRIPTOR)["op"] == Op.MATMUL)[-1])
    _patch(recovering, index, op=int(Op.END))
    for side in (recovering.golden, recovering.simulated):
        assert stopped(side, chain(ROWS, 0, flags=RowFlag(0)))[0] == Fault.BAD_DESCRIPTOR


def test_illegal_weight(recovering):
    for side in (recovering.golden, recovering.simulated):
        # The first norm's weights come before the first matrix.
        side.region("stream", 400)[200] = 250
    recovering.golden.machine.weights.written(0, len(recovering.golden.memory))
    (cause, index), (simulated, later) = (stopped(side, chain(ROWS, 0)) for side in (recovering.golden, recovering.simulated))
    # The engine runs beside the descriptors that follow its own.
    assert cause == simulated == Fault.BAD_WEIGHT and index <= later


def test_not_a_number(recovering):
    for side in (recovering.golden, recovering.simulated):
        start = ROWS[0] * recovering.program.embed_stride
        side.region("embed", start + 2)[start:] = np.array([np.nan], np.float16).view(np.uint8)
        assert stopped(side, chain(ROWS, 0)) == (Fault.NUMERIC, 0)


@pytest.mark.parametrize("count", [0, 4])
def test_row_count(recovering, count):
    simulator = recovering.simulated.simulator
    recovering.simulated.run(chain(ROWS, 0))
    simulator.write("rows", count)
    simulator.start_and_wait(100_000)
    assert simulator.read("status") & 4 and simulator.read("fault_cause") == Fault.BAD_ROW


def test_scattered_slots(recovering):
    rows = chain(ROWS, 0)
    rows["slot"] = [0, 2]
    causes = [stopped(side, rows) for side in (recovering.golden, recovering.simulated)]
    assert causes[0] == causes[1] and causes[0][0] == Fault.BAD_ROW


@pytest.mark.parametrize("words", [-1, 1])
def test_stream_of_another_length(recovering, words):
    """A stream too short starves a unit until the watchdog; one too long is left over."""
    side = recovering.simulated
    side.program = replace(side.program, stream_words=side.program.stream_words + words, head_words=0)
    try:
        cause, _ = stopped(side, chain(ROWS, 0, flags=RowFlag(0)))
    finally:
        side.program = recovering.program
    assert cause == (Fault.WATCHDOG if words < 0 else Fault.BAD_DESCRIPTOR)


def test_mute_memory(recovering):
    """A port that answers nothing cannot hide the fault; once it answers again, so does the machine."""
    simulator = recovering.simulated.simulator
    simulator.mute(Port.READS)
    assert stopped(recovering.simulated, chain(ROWS, 0))[0] == Fault.WATCHDOG
    assert stopped(recovering.simulated, chain(ROWS, 0))[0] == Fault.WATCHDOG, "a start on a dead bus must not look like success"
    simulator.mute(Port(0))
    simulator.run(2_000)


def test_host_reset_in_the_middle(recovering):
    simulator = recovering.simulated.simulator
    recovering.simulated.run(chain(ROWS, 0))
    for offset in (3, 50, 700, 3000):
        simulator.write("control", 1)
        simulator.run(offset)
        simulator.write("control", 2)
        simulator.run(20_000)
        assert simulator.read("status") == 0
