"""Runs in the simulator: clocks, resets, stream drivers and the four traffic patterns of stream units."""

import json
import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, repeat
from pathlib import Path
from typing import Any

import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge
from numpy.typing import ArrayLike, NDArray

__all__ = ["RARE", "SEED", "TRAFFIC", "Flow", "Result", "exchange", "exchange_all", "pack_array", "reset",
           "start", "unpack_array"]

Pattern = Callable[[random.Random], Iterator[int]]

#: What a failed bench is repeated with: `SEED=7 pytest ...`.
SEED = int(os.environ.get("SEED", "1"))


def _coin(chance: float) -> Pattern:
    return lambda rng: iter(lambda: int(rng.random() < chance), None)


#: name: (source offers?, sink accepts?); "shy" raises ready only after it has seen valid.
TRAFFIC: dict[str, tuple[Pattern, Pattern | str]] = {
    "flat out": (lambda rng: repeat(1), lambda rng: repeat(1)),
    "bubbles": (_coin(0.5), lambda rng: repeat(1)),
    "stalls": (_coin(0.7), _coin(0.4)),
    "shy sink": (lambda rng: cycle((1, 1, 0)), "shy"),
}
#: Traffic that only some units have reason to fear.
RARE: dict[str, tuple[Pattern, Pattern | str]] = {
    # Long enough for a unit to prepare all that it can, then beats at every cycle.
    "droughts": (lambda rng: cycle((*repeat(0, 45), *repeat(1, 6))), lambda rng: repeat(1)),
}


@dataclass
class Flow:
    """What one stream did.

    ``cycles`` and ``payloads`` are of the accepted items. ``valid`` and ``ready`` are 0 or 1 for each cycle
    of the exchange, from cycle 0 on.
    """

    cycles: list[int] = field(default_factory=list)
    payloads: list[int] = field(default_factory=list)
    valid: list[int] = field(default_factory=list)
    ready: list[int] = field(default_factory=list)


@dataclass
class Result:
    """The streams of one exchange by name, and its traffic pattern. ``i`` and ``o`` are short for two."""

    flows: dict[str, Flow]
    traffic: str

    def __getitem__(self, name: str) -> Flow:
        return self.flows[name]

    @property
    def i(self) -> Flow:
        return self.flows["i"]

    @property
    def o(self) -> Flow:
        return self.flows["o"]


async def start(dut: Any, name: str) -> None:
    """Start the clock of component `name` until the test ends, and reset it; the others stand still."""
    Clock(getattr(dut, f"{name}_clk"), 10, "ns").start()
    await reset(dut, name)


async def reset(dut: Any, name: str, cycles: int = 3) -> None:
    """Drive every input of component `name` to 0 and hold its reset for `cycles` clocks."""
    ports = json.loads(Path(os.environ["BENCH_PORTS"]).read_text())
    for port, width in ports["inputs"][name].items():
        if width:
            getattr(dut, f"{name}__{port}").value = 0
    getattr(dut, f"{name}_rst").value = 1
    for _ in range(cycles):
        await RisingEdge(getattr(dut, f"{name}_clk"))
    getattr(dut, f"{name}_rst").value = 0


async def exchange(dut: Any, name: str, words: Sequence[int], count: int | None = None, *, traffic: str,
                   seed: int = SEED, limit: int = 20, linger: int = 4) -> Result:
    """:func:`exchange_all` for the streams ``i`` and ``o``; `count` is ``len(words)`` unless given."""
    return await exchange_all(dut, name, {"i": words}, {"o": len(words) if count is None else count},
                              traffic=traffic, seed=seed, limit=limit, linger=linger)


async def exchange_all(dut: Any, name: str, sources: Mapping[str, Sequence[int]], sinks: Mapping[str, int], *,
                       traffic: str, seed: int = SEED, limit: int = 20, linger: int = 4) -> Result:
    """Send words into input streams and take items from output streams, all in the same traffic pattern.

    Parameters
    ----------
    sources : stream name (``i``, or ``bus__w`` for a nested one) to its words
    sinks : stream name to the number of items expected
    limit : cycles allowed per word and per expected item
    linger : cycles to go on after the last item, in which nothing more may come out

    Each stream draws its pattern from a generator of its own. Fails when an output changes or withdraws its
    offer while stalled, when an item too many comes out, and after the deadline. A stream without payload
    reads as 0.

    """
    if traffic not in (known := TRAFFIC | RARE):
        raise ValueError(f"Unknown traffic {traffic!r}; known: {', '.join(known)}")
    offer, accept = known[traffic]
    ins = [_Source(dut, name, port, words, offer(random.Random(f"{seed}{port}")))
           for port, words in sources.items()]
    outs = [_Sink(dut, name, port, count,
                  None if isinstance(accept, str) else accept(random.Random(f"{seed}{port}")))
            for port, count in sinks.items()]
    edge = RisingEdge(getattr(dut, f"{name}_clk"))
    deadline = limit * (sum(len(words) for words in sources.values()) + sum(sinks.values()) + 5)
    extra = 0
    for now in range(deadline):
        for stream in (*ins, *outs):
            stream.drive()
        await ReadOnly()
        for stream in (*ins, *outs):
            stream.observe(now)
        await edge
        if all(stream.done for stream in (*ins, *outs)):
            extra += 1
            if extra > linger:
                break
    else:
        counts = ", ".join(f"{stream.port} {len(stream.flow.cycles)} of {stream.count}"
                           for stream in (*ins, *outs))
        raise AssertionError(f"{name} in {traffic}: only {counts} after {deadline} cycles")
    for stream in (*ins, *outs):
        stream.rest()
    return Result({stream.port: stream.flow for stream in (*ins, *outs)}, traffic)


class _Stream:
    def __init__(self, dut: Any, name: str, port: str, count: int):
        self.port, self.count, self.flow = port, count, Flow()
        self.valid = getattr(dut, f"{name}__{port}__valid")
        self.ready = getattr(dut, f"{name}__{port}__ready")
        self.payload = getattr(dut, f"{name}__{port}__payload", None)

    @property
    def done(self) -> bool:
        return len(self.flow.cycles) == self.count


class _Source(_Stream):
    def __init__(self, dut: Any, name: str, port: str, words: Sequence[int], offers: Iterator[int]):
        super().__init__(dut, name, port, len(words))
        self.words, self.offers, self.shown = words, offers, -1
        self.offering = self.wire = False

    def drive(self) -> None:
        at = len(self.flow.cycles)
        offering = at < self.count and (self.offering or bool(next(self.offers)))
        if offering != self.wire:
            self.valid.value = int(offering)
            self.wire = offering
        if offering and self.shown != at and self.payload is not None:
            self.payload.value = int(self.words[at])
            self.shown = at
        self.offering = offering

    def observe(self, now: int) -> None:
        ready = int(self.ready.value)
        self.flow.valid.append(int(self.offering))
        self.flow.ready.append(ready)
        if self.offering and ready:
            self.flow.payloads.append(int(self.words[len(self.flow.cycles)]))
            self.flow.cycles.append(now)
            self.offering = False

    def rest(self) -> None:
        self.valid.value = 0


class _Sink(_Stream):
    def __init__(self, dut: Any, name: str, port: str, count: int, accepts: Iterator[int] | None):
        super().__init__(dut, name, port, count)
        self.where, self.accepts, self.ready_now, self.held = f"{name}__{port}", accepts, 0, None

    def drive(self) -> None:
        if self.accepts is not None:
            self.ready_now = int(next(self.accepts))
        self.ready.value = self.ready_now

    def observe(self, now: int) -> None:
        valid, taken = int(self.valid.value), self.ready_now
        payload = (0 if self.payload is None else int(self.payload.value)) if valid else None
        if self.held is not None:
            assert payload == self.held, f"{self.where}, cycle {now}: output changed while stalled"
        self.held = payload if valid and not taken else None
        self.flow.valid.append(valid)
        self.flow.ready.append(taken)
        if self.accepts is None:
            self.ready_now = int(valid and not taken)
        if valid and taken:
            assert not self.done, f"{self.where}, cycle {now}: more than {self.count} items"
            self.flow.cycles.append(now)
            self.flow.payloads.append(payload)

    def rest(self) -> None:
        self.ready.value = 0


def pack_array(values: ArrayLike, width: int) -> int:
    """One word of a nested ``ArrayLayout(..., width)``: element 0 lowest, negative ones in two's complement.

    `values` is integer, of any shape in C order: for ``ArrayLayout(ArrayLayout(w, M), E)`` it is (E, M).
    """
    flat = np.asarray(values).ravel()
    if width in (8, 16, 32, 64):
        return int.from_bytes(flat.astype(np.int64).astype(f"<i{width // 8}").tobytes(), "little") \
            if flat.dtype.kind == "i" else int.from_bytes(flat.astype(f"<u{width // 8}").tobytes(), "little")
    mask, word = (1 << width) - 1, 0
    for value in reversed(flat.tolist()):
        word = word << width | value & mask
    return word


def unpack_array(word: int, width: int, count: int, signed: bool = False) -> NDArray:
    """The `count` elements of a word, element 0 first, up to 64 bits each: int64 if `signed`, else uint64."""
    if width in (8, 16, 32, 64):
        kind = f"<{'i' if signed else 'u'}{width // 8}"
        items = np.frombuffer(word.to_bytes(width // 8 * count, "little"), kind)
        return items.astype(np.int64 if signed else np.uint64)
    mask, half = (1 << width) - 1, 1 << width - 1
    parts = [word >> width * k & mask for k in range(count)]
    if signed:
        return np.array([part - (part >= half) * (1 << width) for part in parts], np.int64)
    return np.array(parts, np.uint64)
