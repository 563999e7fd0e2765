"""Runs in the simulator: a memory behind several AXI4 read ports, each with delays and rests of its own."""

import random
from collections import deque
from collections.abc import Sequence
from typing import Any

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from terntable.hw.axi import SLVERR

__all__ = ["ReadPorts"]


class _Port:
    """One port: bursts in order, the first beat of each `delay` cycles after its address at the earliest."""

    def __init__(self, owner: "ReadPorts", path: str, number: int):
        self.owner, self.number = owner, number
        pins = "arvalid arready araddr arlen arsize arburst rvalid rready rdata rresp rlast".split()
        self.pin = {pin: getattr(owner.dut, f"{path}__{pin}") for pin in pins}
        self.rng = random.Random(f"{owner.seed} {number}")
        self.bursts: deque[list[int]] = deque()           # address, beats left, cycle of the first beat
        self.asked: list[tuple[int, int]] = []            # address and beats of each accepted address
        self.moments: list[int] = []                      # cycles of these
        self.beats: list[int] = []                        # cycles of the beats
        self.held: tuple[int, int] | None = None          # an offered address that was not accepted
        self.refuses = self.stalled = False
        self.ready, self.offer = 0, (0, 0, 0, 0)
        self.most = 0                                     # bursts that were asked for at a time

    def drive(self, now: int) -> None:
        owner = self.owner
        offer = (0, 0, 0, 0)
        if self.stalled:
            offer = self.offer                            # a beat that was not taken stands still
        elif self.bursts and self.bursts[0][2] <= now and self.rng.random() >= owner.pause:
            address, left, _ = self.bursts[0]
            data = int.from_bytes(owner.memory[address:address + owner.beat_bytes], "little")
            offer = (1, data, SLVERR if address in owner.flawed else 0, int(left == 1))
        for pin, old, new in zip(("rvalid", "rdata", "rresp", "rlast"), self.offer, offer, strict=True):
            if old != new:
                self.pin[pin].value = new
        self.offer = offer
        ready = int(not self.refuses and self.rng.random() >= owner.pause)
        if ready != self.ready:
            self.pin["arready"].value = ready
        self.ready = ready

    def observe(self, now: int) -> None:
        owner, pin = self.owner, self.pin
        if self.offer[0]:
            taken = int(pin["rready"].value)
            assert taken or not owner.never_waits, f"port {self.number}, cycle {now}: rready is 0"
            self.stalled = not taken
            if taken:
                self.beats.append(now)
                burst = self.bursts[0]
                burst[0] += owner.beat_bytes
                burst[1] -= 1
                if not burst[1]:
                    self.bursts.popleft()
        if not int(pin["arvalid"].value):
            assert self.held is None, f"port {self.number}, cycle {now}: an address was withdrawn"
            return
        address, length = int(pin["araddr"].value), int(pin["arlen"].value)
        assert self.held in (None, (address, length)), f"port {self.number}, cycle {now}: an offered address changed"
        self.held = None if self.ready else (address, length)
        if self.ready:
            assert 1 << int(pin["arsize"].value) == owner.beat_bytes and int(pin["arburst"].value) == 1
            assert address % owner.beat_bytes == 0 and address // 4096 == (address + owner.beat_bytes * length) // 4096
            self.asked.append((address, length + 1))
            self.moments.append(now)
            self.bursts.append([address, length + 1, now + self.rng.randint(*owner.delay)])
            self.most = max(self.most, len(self.bursts))


class ReadPorts:
    """Random bytes behind read ports of component `name`, served from the start of the object on.

    Parameters
    ----------
    paths : the ports' names within the component, such as ``buses__0``.
    delay : least and most cycles from an accepted address to its first beat.
    pause : chance of each channel to rest in a cycle.
    never_waits : fail when a beat is not taken at once.

    Attributes
    ----------
    flawed : addresses that answer SLVERR. May be set at any time, as `delay` and `pause`.
    now : cycles served.

    """

    def __init__(self, dut: Any, name: str, paths: Sequence[str], *, beat_bytes: int, seed: int, size: int = 1 << 16,
                 delay: tuple[int, int] = (1, 1), pause: float = 0.0, never_waits: bool = True):
        self.dut, self.beat_bytes, self.seed, self.delay, self.pause = dut, beat_bytes, seed, delay, pause
        self.never_waits = never_waits
        self.memory = random.Random(seed).randbytes(size)
        self.flawed = range(0)
        self.now = 0
        self.edge = RisingEdge(getattr(dut, f"{name}_clk"))
        self.ports = [_Port(self, f"{name}__{path}", number) for number, path in enumerate(paths)]
        cocotb.start_soon(self._run())

    def words(self, address: int, count: int, word_bytes: int) -> list[int]:
        """`count` words from `address`."""
        return [int.from_bytes(self.memory[at:at + word_bytes], "little")
                for at in range(address, address + count * word_bytes, word_bytes)]

    async def _run(self) -> None:
        while True:
            for port in self.ports:
                port.drive(self.now)
            await ReadOnly()
            for port in self.ports:
                port.observe(self.now)
            await self.edge
            self.now += 1
