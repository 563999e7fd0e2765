"""Cycle models: when each item has to move, derived from the handshakes that an exchange saw.

In these models a stream's state in a cycle is what it shows before the clock edge that ends the cycle. An
item accepted in cycle n of a unit with latency L is offered at the output from cycle n + L on.
"""

from collections.abc import Sequence

from tests.hw.bench.streams import Flow, Result

__all__ = ["check_flow", "check_rigid_pipe", "check_serial", "rigid_pipe", "serial"]


def rigid_pipe(accepted: Sequence[int], ready: Sequence[int], latency: int) -> tuple[list[int], list[int]]:
    """A pipe whose stages all advance when its output is empty or taken.

    Parameters
    ----------
    accepted : cycles in which inputs were accepted
    ready : per cycle, 1 where the sink took what was offered

    Returns
    -------
    enabled : per cycle, 1 where the pipe advances, which is when its input is ready
    valid : per cycle, 1 where the output is offered

    """
    entering = set(accepted)
    stages = [0] * latency
    enabled, valid = [], []
    for now, taken in enumerate(ready):
        valid.append(stages[-1])
        enabled.append(int(not stages[-1] or taken))
        if enabled[-1]:
            stages = [int(now in entering), *stages[:-1]]
    return enabled, valid


def serial(offered: Sequence[int], ready: Sequence[int], latency: int) -> tuple[list[int], list[int]]:
    """A unit that holds one item from the cycle it is accepted until the cycle it is taken.

    Parameters
    ----------
    offered : per cycle, 1 where the source offers an item
    ready : per cycle, 1 where the sink would take one

    Returns
    -------
    enabled : per cycle, 1 where the input is ready
    valid : per cycle, 1 where the output is offered

    """
    enabled, valid = [], []
    due: int | None = None
    for now, (offer, taken) in enumerate(zip(offered, ready, strict=True)):
        enabled.append(int(due is None))
        valid.append(int(due is not None and now >= due))
        if due is None:
            due = now + latency if offer else None
        elif now >= due and taken:
            due = None
    return enabled, valid


def check_flow(what: str, seen: Sequence[int], expected: Sequence[int]) -> None:
    """Fail, naming the first cycle, unless two per-cycle records are equal."""
    if len(seen) != len(expected):
        raise AssertionError(f"{what}: {len(seen)} cycles seen, {len(expected)} expected")
    for now, (saw, wanted) in enumerate(zip(seen, expected, strict=True)):
        if saw != wanted:
            raise AssertionError(f"{what} is {saw} in cycle {now}, not {wanted}")


def check_rigid_pipe(result: Result, latency: int, *, i: str = "i", o: str = "o") -> None:
    """Fail unless streams `i` and `o` moved in exactly the cycles of a rigid pipe with this latency."""
    source, sink = result[i], result[o]
    enabled, valid = rigid_pipe(source.cycles, sink.ready, latency)
    check_flow(f"{i}.ready", source.ready, enabled)
    check_flow(f"{o}.valid", sink.valid, valid)
    _check_flat_out(result, source, sink, latency)


def check_serial(result: Result, latency: int, *, i: str = "i", o: str = "o") -> None:
    """Fail unless streams `i` and `o` moved in exactly the cycles of a one-item unit with this latency."""
    source, sink = result[i], result[o]
    enabled, valid = serial(source.valid, sink.ready, latency)
    check_flow(f"{i}.ready", source.ready, enabled)
    check_flow(f"{o}.valid", sink.valid, valid)


def _check_flat_out(result: Result, source: Flow, sink: Flow, latency: int) -> None:
    """Said once more in plain words, so that no error of the model can hide a wrong number."""
    if result.traffic == "flat out":
        delays = {leave - enter for enter, leave in zip(source.cycles, sink.cycles, strict=True)}
        assert delays == {latency}, f"Latency is {sorted(delays)}, not {latency}"
        steps = {after - before for before, after in zip(source.cycles, source.cycles[1:], strict=False)}
        assert steps <= {1}, "Throughput is below one per cycle"
