"""The analytic model against simulated passes, on a narrow instance with layers of a real size."""

from dataclasses import replace

import pytest

from terntable.host.bench import Job, measure
from terntable.host.devices.simulator import SimulatorDevice
from terntable.host.session import HEADS
from terntable.hw.spec.config import preset
from terntable.models.shapes import parse_geometry
from terntable.sim.performance import estimate, ring_words

#: One port and one row, so that the simulator is built and runs in seconds.
NARROW = replace(preset("kv260"), name="narrow", rows=1, beat_bytes=16, ports=1, outputs=2, glu_units=1, max_vocab=2048)
SHAPE = parse_geometry("hidden=1536,intermediate=4096,layers=2,heads=16,kv_heads=16,head_dim=96,vocab=2048,act=silu,context=2048")


def simulated(config, context: int, layers: int, **options) -> dict[str, int]:
    job = Job(shape=SHAPE, config=config, context=context, layers=layers, **options)
    return measure(job, lambda size: SimulatorDevice(config, memory_bytes=size)).total


@pytest.mark.parametrize(("context", "layers"), [(16, 1), (128, 2)])
def test_model_is_close(context, layers):
    counters = simulated(NARROW, context, layers)
    model = estimate(SHAPE, NARROW, context=context, layers=layers)
    assert model.stream_bytes == counters["stream_bytes"]
    assert model.cycles == pytest.approx(counters["cycles"], rel=0.03)


def test_model_of_two_stages_is_close():
    """The two stages take less than the exact head, and as long as the model says."""
    exact, two = (simulated(NARROW, 16, 1, head=head) for head in HEADS)
    model = estimate(SHAPE, NARROW, context=16, layers=1, head="two-stage")
    assert model.stream_bytes == two["stream_bytes"] < exact["stream_bytes"]
    assert model.cycles == pytest.approx(two["cycles"], rel=0.03)
    saved = exact["cycles"] - two["cycles"]
    assert saved == pytest.approx(estimate(SHAPE, NARROW, context=16, layers=1).cycles - model.cycles, rel=0.1)


def test_ring_formula():
    """A ring of the computed depth is never full, one of a quarter is."""
    needed = ring_words(replace(SHAPE, layers=2), NARROW, context=16)
    for words, full in ((needed + needed // 8, False), (max(64, needed // 4), True)):
        model = estimate(SHAPE, replace(NARROW, ring_words=words), context=16)
        assert (model.ring_full > 0) == full
