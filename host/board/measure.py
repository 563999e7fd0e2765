"""Speed and energy of a real model on a board, by the wall clock and by the device's counters, beside what the model predicts."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from terntable.host.board.power import EnergyMeter, Sensor
from terntable.host.program import Program
from terntable.host.session import Session
from terntable.host.target import Counters, add_counters
from terntable.hw.spec.program import DESCRIPTOR, Op, VecMode
from terntable.models.shapes import Geometry
from terntable.sim.ddr_parameters import DELIVERED

__all__ = ["Phase", "geometry_of_program", "measure_board", "predict"]


@dataclass
class Phase:
    """A prompt, or tokens decoded one after another.

    Attributes
    ----------
    seconds : by the wall clock, with all that the host does.
    counters : of the device's passes.
    joules : of the whole board, None without a sensor.

    """

    tokens: int
    seconds: float
    counters: Counters
    joules: float | None

    def summary(self, clock_hz: int, predicted: float | None) -> dict[str, Any]:
        """What is printed: speeds in tokens per second."""
        cycles = self.counters.get("cycles")
        device = self.tokens * clock_hz / cycles if cycles else None
        return {"tokens": self.tokens, "seconds": self.seconds, "cycles": cycles,
                "wall_tokens_per_second": self.tokens / self.seconds,
                "device_tokens_per_second": device, "predicted_tokens_per_second": predicted,
                "device_to_predicted": None if device is None or not predicted else device / predicted,
                "joules": self.joules, "tokens_per_joule": self.tokens / self.joules if self.joules else None,
                "watts": None if self.joules is None else self.joules / self.seconds}


def measure_board(session: Session, *, prompt: int, context: int, tokens: int, sensor: Sensor | None, seed: int = 1,
                  clock: Callable[[], float] = time.perf_counter) -> dict[str, Phase]:
    """Run a prompt of random tokens, and then decode after `context` of them; the phases `prefill` and `decode`."""
    ids = np.random.default_rng(seed).integers(0, session.vocab, max(prompt, context))
    # The first pass also loads what the host runs.
    session.rollback(0)
    session.prefill(ids[:1])

    def phase(count: int, work: Callable[[], Counters]) -> Phase:
        with EnergyMeter(sensor, clock=clock) if sensor is not None else contextlib.nullcontext() as meter:
            start = clock()
            counters = work()
            seconds = clock() - start
        return Phase(count, seconds, counters, None if meter is None else meter.watts * seconds)

    def decode() -> Counters:
        total: Counters = {}
        token = int(ids[0])
        for _ in range(tokens):
            result = session.decode(token)
            token, total = int(result.best[0]), add_counters(total, result.counters)
        return total

    session.rollback(0)
    phases = {"prefill": phase(prompt, lambda: session.prefill(ids[:prompt]).counters)}
    session.rollback(0)
    if context:
        session.extend(ids[:context])
    phases["decode"] = phase(tokens, decode)
    session.rollback(0)
    return phases


def geometry_of_program(program: Program) -> Geometry:
    """The shape of a compiled model; ValueError for one that the estimate does not know."""
    s = program.shape
    steps = program.program.view(DESCRIPTOR)
    silu = ((steps["op"] == Op.VEC) & (steps["a"] == VecMode.GLU_SILU)).any()
    return Geometry(hidden=s.hidden, intermediate=s.intermediate, layers=s.layers, heads=s.heads, kv_heads=s.kv_heads,
                    head_dim=s.head_dim, vocab=s.vocab, context=s.context, act="silu" if silu else "relu2", name=s.name)


def predict(program: Program, clock_hz: int, *, prompt: int, context: int, tokens: int, head: str = "exact") -> dict[str, float]:
    """Tokens per second of the phases by the simulation's analytic model; empty where it cannot be asked."""
    try:
        # It takes latencies from the hardware's description, and a board need not have Amaranth.
        from terntable.sim.performance import estimate

        shape = geometry_of_program(program)
    except (ImportError, ValueError):
        return {}
    config = program.config
    given: dict[str, Any] = {"bytes_per_cycle": DELIVERED * config.beat_bytes} | ({} if head == "exact" else {"head": head})
    passes = [(first, min(config.rows, prompt - first)) for first in range(0, prompt, config.rows)]
    prefill = sum(estimate(shape, config, context=first, rows=rows, output=first + rows == prompt, **given).cycles
                  for first, rows in passes)
    decode = sum(estimate(shape, config, context=context + n, **given).cycles for n in range(tokens))
    return {"prefill": prompt * clock_hz / prefill, "decode": tokens * clock_hz / decode}
