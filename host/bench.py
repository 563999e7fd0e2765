"""Measures passes of a model of any shape on the simulated accelerator: decode, verify, and prefill to the first token."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from terntable.host.device import Device
from terntable.host.loaded import memory_needed
from terntable.host.models import cache_folder
from terntable.host.program import Program
from terntable.host.random_model import random_cache, random_program
from terntable.host.session import Session
from terntable.host.states import LAST, every_layer
from terntable.host.target import Counters, add_counters
from terntable.hw.spec.config import HardwareConfig
from terntable.models.shapes import Geometry

__all__ = ["STALLS", "STATES", "Job", "Measured", "expected_cycles", "extrapolate", "measure", "summary"]

#: Counters of lost cycles, by the name that a report gives them.
STALLS = {
    "weight_stream": "word_stalls", "tables": "table_stalls", "sums_queue_full": "output_stalls",
    "sums_not_ready": "partial_stalls", "kv_data": "data_stalls", "engine": "engine_wait_cycles", "ring_full": "ring_full_cycles",
}

#: Layers whose states a pass leaves in memory.
STATES: dict[str, Callable[[Program], Sequence[int]]] = {
    "none": lambda program: (), "last": lambda program: (LAST,), "all": every_layer,
}

#: Of the ports' bytes, what memory delivers; good enough to foretell how long a simulation takes.
_USUAL_SHARE = 0.95

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to measure.

    Attributes
    ----------
    context : committed tokens before the pass (their keys and values are random); 0 for a prompt.
    rows : rows of the pass, a chain.
    prompt : tokens of a prompt, run in full passes to its first new token; 0 for one pass.
    layers : layers to simulate.
    seed : of weights, tokens and cache.
    head : "exact" or "two-stage".
    states : which layers' states the pass leaves in memory, of `STATES`.

    """

    shape: Geometry
    config: HardwareConfig
    context: int = 128
    rows: int = 1
    prompt: int = 0
    layers: int
    seed: int = 1
    head: str = "exact"
    states: str = "none"

    @property
    def slots(self) -> int:
        """KV slots that the job needs."""
        return self.prompt or self.context + self.rows


@dataclass
class Measured:
    """Counters of the passes of a job, in order."""

    job: Job
    passes: list[Counters] = field(default_factory=list)

    @property
    def total(self) -> Counters:
        """Sums over the passes."""
        total: Counters = {}
        for counters in self.passes:
            total = add_counters(total, counters)
        return total


def measure(job: Job, open_device: Callable[[int], Device], *, progress: Progress | None = None, resume: bool = True,
            on_cycles: Callable[[int], None] | None = None, session_type: type[Session] = Session, variant: str = "") -> Measured:
    """Run a job. The passes of a prompt are kept on disk as they finish, and a job that was cut short goes on behind them.

    Parameters
    ----------
    open_device : opens a device with so many bytes of memory.
    resume : False forgets what an earlier run has left.
    session_type : the kind of session, such as one that checks every pass.
    variant : what else distinguishes runs, such as the timing of memory.

    """
    program = random_program(job.shape, job.config, context=job.slots, layers=job.layers, seed=job.seed, progress=progress,
                             shortlist=job.head == "two-stage")
    measured = Measured(job)
    tokens = np.random.default_rng(job.seed).integers(0, job.shape.vocab, max(job.prompt, job.rows))
    states = STATES[job.states](program)
    with (open_device(memory_needed(program, states=bool(states))) as device,
          session_type(device, program, progress=progress, head=job.head) as session):
        session.on_cycles = on_cycles
        session.keep_states(states)
        if not job.prompt:
            session.restore(random_cache(program.kv, job.context, job.seed), job.context)
            measured.passes.append(session.verify(tokens[:job.rows]).counters)
            return measured
        kept = _Kept(job, program, variant)
        start = kept.load(session, measured) if resume else 0
        for first in range(start, job.prompt, job.config.rows):
            part = tokens[first:first + job.config.rows]
            if progress is not None:
                progress(f"Prompt tokens {first + 1} to {first + len(part)} of {job.prompt}")
            last = first + len(part) == job.prompt
            measured.passes.append(session.prefill(part).counters if last else session.extend(part))
            kept.save(session, measured)
        kept.forget()
    return measured


def expected_cycles(job: Job) -> float:
    """About how many cycles all passes of a job will take together, by the analytic model."""
    from terntable.sim.performance import estimate

    shared: dict[str, Any] = {"shape": job.shape, "config": job.config, "layers": job.layers, "head": job.head,
                              "bytes_per_cycle": _USUAL_SHARE * job.config.beat_bytes}
    if not job.prompt:
        return estimate(context=job.context, rows=job.rows, **shared).cycles
    return sum(estimate(context=first, rows=min(job.config.rows, job.prompt - first), output=first + job.config.rows >= job.prompt,
                        **shared).cycles for first in range(0, job.prompt, job.config.rows))


class _Kept:
    """The state of a prompt between two passes, on disk."""

    def __init__(self, job: Job, program: Program, variant: str) -> None:
        what = f"{job!r}{variant}{program.program.tobytes().hex()}"
        name = hashlib.sha256(what.encode()).hexdigest()[:16]
        self._file: Path = cache_folder().parent / "bench" / f"{job.shape.name}-{name}.npz"

    def load(self, session: Session, measured: Measured) -> int:
        """Put the state back; the tokens that it holds."""
        try:
            with np.load(self._file) as kept:
                passes, length, cache = json.loads(str(kept["passes"])), int(kept["length"]), kept["cache"]
        except (OSError, ValueError, KeyError):
            return 0
        session.restore(cache, length)
        measured.passes.extend(passes)
        return length

    def save(self, session: Session, measured: Measured) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_suffix(f".{os.getpid()}.npz")
        np.savez(partial, passes=np.array(json.dumps(measured.passes)), length=np.array(session.length), cache=session.kv_bytes())
        os.replace(partial, self._file)

    def forget(self) -> None:
        self._file.unlink(missing_ok=True)


def extrapolate(few: Measured, more: Measured, layers: int) -> dict[str, float]:
    """Counters of all `layers` layers from two runs with different numbers of them: what a layer adds is the same for each."""
    a, b = few.total, more.total
    step = more.job.layers - few.job.layers
    result = {}
    for name, count in b.items():
        before = a[name]
        if count is not None and before is not None:
            result[name] = count + (layers - more.job.layers) * (count - before) / step
    return result


def summary(job: Job, totals: dict[str, Any], *, layers: int, simulated: list[int]) -> dict[str, Any]:
    """The object that `terntable bench --json` prints.

    `totals` are counters of the whole model; `simulated` the numbers of layers of the runs behind them.
    """
    clock, cycles = job.config.clock_hz, totals["cycles"]
    moved = totals["stream_bytes"] + totals["read_bytes"] + totals["write_bytes"]
    extrapolated = simulated != [layers]
    how = (f"extrapolated from runs with {' and '.join(map(str, simulated))} layers: each further layer adds what the "
           f"last {simulated[-1] - simulated[0]} added") if extrapolated else "whole model"
    seconds = cycles / clock
    return {
        "shape": job.shape.name, "preset": job.config.name, "head": job.head, "states": job.states,
        "context": job.context if not job.prompt else 0, "prompt": job.prompt,
        "cycles": round(cycles), "clock_hz": clock, "rows": job.rows,
        "tokens_per_second": None if job.prompt else job.rows / seconds, "ttft_seconds": seconds if job.prompt else None,
        "ddr_bytes_read": round(totals["stream_bytes"] + totals["read_bytes"]), "ddr_bytes_written": round(totals["write_bytes"]),
        "roofline_share": moved / (cycles * job.config.beat_bytes), "layers_simulated": simulated[-1], "extrapolated": extrapolated,
        "how": how, "stalls": {name: round(totals[counter]) for name, counter in STALLS.items()},
        "busy": {name.removesuffix("_cycles"): round(value) for name, value in totals.items()
                 if name.endswith("_cycles") and name not in STALLS.values() and name != "cycles"},
        "bytes_by_port": [round(totals[f"port{n}_bytes"]) for n in range(job.config.ports)],
        "bytes_by_use": {name: round(totals[f"{name}_bytes"]) for name in ("stream", "read", "write")},
        "passes": round(totals["passes"]),
    }
