"""Kernels as stream units, and what their constructors refuse."""

import random

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from terntable.hw.float_from_int import FloatFromInt
from terntable.hw.float_mul import FloatMul
from terntable.hw.float_parabola import FloatParabola
from terntable.hw.float_to_int import FloatToInt
from terntable.hw.kernel import Kernel, KernelStream
from terntable.hw.spec.float_tables import Parabolas
from terntable.models.golden import float32


def exchange(unit, items, *, offer, accept, seed=1):
    """Send ``items`` (dicts); return (cycle in, cycle out, payload) of each."""
    rng = random.Random(seed)
    entered, left = [], []

    async def bench(ctx):
        waiting = list(items)
        offering = False
        for now in range(40 * len(items)):
            offering = bool(waiting) and (offering or rng.random() < offer)
            ctx.set(unit.i.valid, offering)
            if offering:
                ctx.set(unit.i.payload, waiting[0])
            ctx.set(unit.o.ready, rng.random() < accept)
            _, _, taken, valid, ready, payload = await ctx.tick().sample(
                unit.i.valid & unit.i.ready, unit.o.valid, unit.o.ready, unit.o.payload)
            if taken:
                entered.append(now)
                waiting.pop(0)
                offering = False
            if valid and ready:
                left.append((now, payload))
            if len(left) == len(items):
                return
        raise AssertionError(f"{len(left)} of {len(items)} results")

    simulator = Simulator(unit)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return [(start, end, payload) for start, (end, payload) in zip(entered, left, strict=True)]


@pytest.mark.parametrize(("offer", "accept"), [(1, 1), (0.5, 1), (0.8, 0.4)])
def test_stream_of_products(offer, accept):
    rng = np.random.default_rng(9)
    a, b = rng.standard_normal((2, 60)).astype(np.float32)
    patterns = float32.to_bits(np.stack([a, b], axis=1)).tolist()
    items = [{"a": x, "b": y} for x, y in patterns]
    unit = KernelStream(kernel=FloatMul())
    done = exchange(unit, items, offer=offer, accept=accept)
    assert [payload for *_, payload in done] == float32.to_bits(float32.mul(a, b)).tolist()
    if accept == 1:
        assert {end - start for start, end, _ in done} == {unit.LATENCY}


def test_stream_with_two_outputs():
    items = [{"a": int(float32.to_bits(np.float32(x)))} for x in (2.5, -300, np.nan, 0.75)]
    done = exchange(KernelStream(kernel=FloatToInt(width=8)), items, offer=1, accept=0.5)
    assert [(payload.y, payload.invalid) for *_, payload in done] == [(2, 0), (-128, 0), (0, 1), (1, 0)]


@pytest.mark.parametrize("unit", [FloatFromInt, FloatToInt])
@pytest.mark.parametrize("width", [1, 49])
def test_width_is_checked(unit, width):
    with pytest.raises(ValueError, match=rf"width must be 2\.\.48, not {width}"):
        unit(width=width)


def test_parabola_table_is_checked():
    with pytest.raises(ValueError, match="table must have 256 segments, not 3"):
        FloatParabola(table=Parabolas(((1, 0, 0),) * 3, 10))
    with pytest.raises(ValueError, match=r"table\.place_bits must be 1\.\.24, not 0"):
        FloatParabola(table=Parabolas(((1, 0, 0),) * 256, 0))


def test_kernel_ports_are_checked():
    with pytest.raises(ValueError, match="A kernel has its port en already"):
        Kernel({"en": In(1), "y": Out(1)})
    with pytest.raises(ValueError, match="A kernel needs an output y, ports has only a, b"):
        Kernel({"a": In(1), "b": In(1)})
    with pytest.raises(ValueError, match="kernel must be a Kernel, not 3"):
        KernelStream(kernel=3)


def test_kernel_without_a_pipeline():
    with pytest.raises(NotImplementedError):
        Kernel({"y": Out(1)}).pipeline(Module())
