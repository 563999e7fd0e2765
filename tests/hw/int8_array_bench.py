"""Runs in the simulator; see test_int8_array.py."""

import random
from collections import deque

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from terntable.hw.int8_array import ArrayPort
from terntable.models.golden.int8_array import accumulators, dots
from tests.hw.bench.streams import SEED, TRAFFIC, pack_array, start, unpack_array
from tests.hw.test_int8_array import SETS


class Bench:
    """Drives one array: a list of what to present, in the traffic's cycles, and what has to come out when."""

    def __init__(self, dut, name: str, traffic: str):
        self.dut, self.name, self.port = dut, name, ArrayPort(**SETS[name])
        offer, accept = TRAFFIC[traffic]
        self.offers = offer(random.Random(f"{SEED}offer{name}"))
        self.enables = offer(random.Random(f"{SEED}enable{name}")) if isinstance(accept, str) else \
            accept(random.Random(f"{SEED}enable{name}"))
        self.rng = np.random.default_rng([SEED, *map(ord, name)])
        port = self.port
        self.shadow = np.zeros((port.rows, port.lanes), np.int64)
        self.loads: deque[tuple[int, np.ndarray]] = deque()
        self.due: dict[int, list] = {}      # by enabled cycle: (output, expected)
        self.enabled = self.compared = 0
        self.at: list[int] = []             # enabled cycle of each presented item
        self.low_loads = 0

    def pin(self, port: str):
        return getattr(self.dut, f"{self.name}__{port}")

    async def cycle(self, offered: dict[str, int]) -> bool:
        """One cycle; whether it was an enabled one. Outputs are checked in each."""
        enabled = next(self.enables)
        for port in ("valid", "swap", "unload", "direct", "first", "weight", "direct_act"):
            if port in offered or port in ("valid", "swap", "unload"):
                self.pin(port).value = offered.get(port, 0)
        self.pin("en").value = enabled
        self.pin("load").value = 0
        await ReadOnly()
        ready = int(self.pin("load_ready").value)
        self.low_loads += not ready and bool(enabled)
        for output, expected in self.due.get(self.enabled, ()):
            seen = int(self.pin(output).value)
            assert seen == expected, f"{output} in enabled cycle {self.enabled}"
            self.compared += 1
        await RisingEdge(getattr(self.dut, f"{self.name}_clk"))
        if enabled:
            self.due.pop(self.enabled, None)
            self.enabled += 1
        if enabled and offered:
            self.at.append(self.enabled - 1)
        return bool(enabled)

    async def present(self, **offered: int) -> int:
        """An item after the bubbles that the traffic wants; the enabled cycle that took it."""
        while not next(self.offers):
            await self.cycle({})
        while not await self.cycle(offered):
            pass
        return self.enabled - 1

    def expect(self, cycle: int, output: str, word: int) -> None:
        self.due.setdefault(cycle, []).append((output, word))

    async def drain(self, cycles: int) -> None:
        target = self.enabled + cycles
        while self.enabled < target:
            await self.cycle({})

    async def load(self, act: np.ndarray) -> None:
        """Fill the shadow, in any order of places, enabled or not, while bubbles run."""
        port = self.port
        edge = RisingEdge(getattr(self.dut, f"{self.name}_clk"))
        for place in self.rng.permutation(port.lanes // port.load_lanes):
            part = act[:, place * port.load_lanes:(place + 1) * port.load_lanes]
            while True:
                self.pin("en").value = 0
                await ReadOnly()
                ready = int(self.pin("load_ready").value)
                await edge
                if ready:
                    break
                # Only enabled cycles end a swap.
                await self.cycle({})
            self.pin("load").value, self.pin("load_place").value = 1, int(place)
            self.pin("load_data").value = pack_array(part.T, 16)
            await edge
            self.pin("load").value = 0

    def vectors(self, count: int) -> np.ndarray:
        weight = self.rng.integers(-128, 128, (count, self.port.lanes))
        weight[0], weight[-1] = -128, 127
        return weight

    async def run_dots(self, act: np.ndarray, count: int) -> None:
        """Weights against `act`, the active bank; the swap may come beside the last of them."""
        for weight in self.vectors(count):
            cycle = await self.present(valid=1, direct=0, weight=pack_array(weight, 8))
            self.expect_dot(cycle, weight, act)

    def expect_dot(self, cycle: int, weight: np.ndarray, act: np.ndarray) -> None:
        for output, value in zip(("low", "high"), dots(weight, act), strict=True):
            self.expect(cycle + self.port.dot_latency, output, pack_array(value, self.port.dot_bits))

    async def run_direct(self, count: int) -> None:
        """A run of direct weights, then all columns."""
        port, weight = self.port, self.vectors(count)
        act = self.rng.integers(-(1 << 16), 1 << 16, (count, port.rows, 2))
        act[0], act[-1] = -(1 << 16), (1 << 16) - 1
        for n in range(count):
            last = await self.present(valid=1, direct=1, first=int(n == 0), weight=pack_array(weight[n], 8),
                                      direct_act=pack_array(act[n], 17))
        while self.enabled < last + port.unload_gap:
            await self.cycle({})
        sums = accumulators(weight, act)
        for first in range(0, port.lanes, port.load_lanes):
            cycle = await self.present(unload=1)
            columns = sums[:, first:first + port.load_lanes].T
            self.expect(cycle + port.unload_latency, "columns", pack_array(columns, port.acc_bits))


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def matches(dut, name, traffic):
    """Sums against two banks in turn, runs of accumulation between them, everything as close as the rules allow."""
    await start(dut, name)
    bench = Bench(dut, name, traffic)
    port = bench.port
    act = np.full((port.rows, port.lanes), -(1 << 15))
    await bench.load(act)
    await bench.present(swap=1)
    for turn, count in enumerate((5, 1, 9, 2)):
        fresh = bench.rng.integers(-(1 << 15), 1 << 15, act.shape)
        await bench.run_dots(act, count)
        await bench.load(fresh)
        # The swap beside a weight, which still meets the old bank; the next one meets the new.
        weight = bench.vectors(3)
        cycle = await bench.present(valid=1, direct=0, swap=1, weight=pack_array(weight[1], 8))
        bench.expect_dot(cycle, weight[1], act)
        act = fresh
        await bench.run_dots(act, 2)
        await bench.run_direct((1, 7, 30, 2)[turn])
        await bench.run_dots(act, 2)
    await bench.drain(port.dot_latency + 1)
    assert not bench.due and bench.compared >= 4 * (2 * 7 + port.lanes // port.load_lanes)
    if traffic == "flat out":
        assert bench.at[-1] - bench.at[-2] == 1


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def load_ready_spans_a_swap(dut, name):
    """Low in the `chain` enabled cycles after a swap."""
    await start(dut, name)
    bench = Bench(dut, name, "flat out")
    await bench.drain(3)
    assert not bench.low_loads
    await bench.present(swap=1)
    await bench.drain(2 * bench.port.chain + 2)
    assert bench.low_loads == bench.port.chain


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def loads_beside_weights(dut, name):
    """The next bank is loaded while weights stream at full rate."""
    await start(dut, name)
    bench = Bench(dut, name, "flat out")
    port, edge = bench.port, RisingEdge(getattr(dut, f"{name}_clk"))
    places = port.lanes // port.load_lanes
    active, shadow = np.zeros((2, port.rows, port.lanes), np.int64)
    length = port.chain + 1 + places
    expected: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    bench.pin("en").value = 1
    for now in range(5 * length + port.dot_latency):
        phase, turn = now % length, now // length
        weight = bench.rng.integers(-128, 128, port.lanes)
        place = phase - port.chain - 1
        bench.pin("valid").value = int(turn < 5)
        bench.pin("weight").value = pack_array(weight, 8)
        bench.pin("load").value = int(place >= 0)
        expected[now] = dots(weight, active)
        if place >= 0:
            part = bench.rng.integers(-(1 << 15), 1 << 15, (port.rows, port.load_lanes))
            shadow = shadow.copy()
            shadow[:, place * port.load_lanes:(place + 1) * port.load_lanes] = part
            bench.pin("load_place").value, bench.pin("load_data").value = place, pack_array(part.T, 16)
        bench.pin("swap").value = int(phase == 0)
        if phase == 0:
            active = shadow
        await ReadOnly()
        assert place < 0 or int(bench.pin("load_ready").value)
        # The bank that the first swap displaces holds anything.
        if length < now - port.dot_latency < 5 * length:
            for output, value in zip(("low", "high"), expected[now - port.dot_latency], strict=True):
                got = unpack_array(int(bench.pin(output).value), port.dot_bits, port.rows, signed=True)
                assert got.tolist() == value.tolist()
        await edge
