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


def test_more_ring_than_the_formula_says_is_of_no_use():
    needed = ring_words(SHAPE, NARROW, context=16)
    assert NARROW.ring_words > 3 * needed
    enough = simulated(replace(NARROW, ring_words=needed), 16, 2)
    assert enough["cycles"] == pytest.approx(simulated(NARROW, 16, 2)["cycles"], rel=0.01)


@pytest.mark.parametrize("config", [NARROW, replace(NARROW, beat_bytes=32, ports=2, outputs=4)], ids=["one port", "two ports"])
def test_a_quarter_of_that_ring_costs_what_the_model_says(config):
    needed = ring_words(SHAPE, config, context=16)
    enough, little = (replace(config, ring_words=words) for words in (needed, needed // 4))
    slower = estimate(SHAPE, little, context=16).cycles / estimate(SHAPE, enough, context=16).cycles
    assert slower > 1.01
    assert simulated(little, 16, 2)["cycles"] / simulated(enough, 16, 2)["cycles"] == pytest.approx(slower, abs=0.01)
