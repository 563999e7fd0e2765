"""Runs in the simulator: a memory for the AXI masters' benches, and a watcher of their pins."""

import logging
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import cocotb
from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from cocotb.triggers import ReadOnly, RisingEdge
from cocotbext.axi import AxiRamRead, AxiRamWrite, AxiReadBus, AxiWriteBus

from terntable.hw.axi import connect_flat

__all__ = ["FLAWED", "Flat", "abort_after", "memory", "watch"]

#: Addresses that answer SLVERR, in the uppermost quarter of every memory of 1 MiB.
FLAWED = range(0xC0000, 0x100000)
SIZE = 1 << 20


class Flat(wiring.Component):
    """A master with its bus as flat members ``axi_araddr`` ... and identifiers for cocotbext-axi."""

    def __init__(self, master: wiring.Component):
        self.master = master
        members = dict(master.signature.members)
        bus = members.pop("bus").signature
        ids = {"arid": Out(1), "rid": In(1)} if "araddr" in bus.members else {"awid": Out(1), "bid": In(1)}
        super().__init__(
            {**members, **{f"axi_{name}": member for name, member in {**bus.members, **ids}.items()}}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.master = self.master
        connect_flat(m, self, "axi", self.master.bus)
        for name, member in self.master.signature.members.items():
            if name == "bus":
                continue
            outer, inner = getattr(self, name), getattr(self.master, name)
            if member.is_signature:
                wiring.connect(m, wiring.flipped(outer), inner)
            else:
                m.d.comb += outer.eq(inner) if member.flow == Out else inner.eq(outer)
        return m


class _FlawedRead(AxiRamRead):
    async def _read(self, address, length):
        if address in FLAWED:
            raise ValueError("flawed")
        return await super()._read(address, length)


class _FlawedWrite(AxiRamWrite):
    async def _write(self, address, data):
        if address in FLAWED:
            raise ValueError("flawed")
        await super()._write(address, data)


def _coin(seed: str, chance: float) -> Iterator[int]:
    rng = random.Random(seed)
    while True:
        yield rng.random() < chance


def memory(dut: Any, name: str, seed: int, *, pause: float) -> Any:
    """1 MiB of random bytes behind the bus of component `name`; each channel rests with chance `pause`."""
    logging.getLogger("cocotb.top").setLevel(logging.WARNING)
    clock, prefix = getattr(dut, f"{name}_clk"), f"{name}__axi"
    if hasattr(dut, f"{prefix}_araddr"):
        ram = _FlawedRead(AxiReadBus.from_prefix(dut, prefix), clock, size=SIZE)
        channels = [ram.ar_channel, ram.r_channel]
    else:
        ram = _FlawedWrite(AxiWriteBus.from_prefix(dut, prefix), clock, size=SIZE)
        channels = [ram.aw_channel, ram.w_channel, ram.b_channel]
    ram.write(0, random.Random(seed).randbytes(SIZE))
    for n, channel in enumerate(channels):
        if pause:
            channel.set_pause_generator(_coin(f"{seed} {n}", pause))
    return ram


def watch(dut: Any, name: str, inputs: Mapping[str, str], outputs: Mapping[str, str],
          twin: Callable[[Mapping[str, int]], dict[str, int]]) -> list[dict[str, int]]:
    """From now on, compare the pins of every cycle with `twin`; the list grows by the outputs of each.

    `inputs` and `outputs` map the twin's names to ports of component `name`.
    """
    seen: list[dict[str, int]] = []
    ins = {key: getattr(dut, f"{name}__{port}") for key, port in inputs.items()}
    outs = {key: getattr(dut, f"{name}__{port}") for key, port in outputs.items()}
    edge = RisingEdge(getattr(dut, f"{name}_clk"))

    async def run():
        while True:
            await ReadOnly()
            got = {key: int(port.value) for key, port in outs.items()}
            want = twin({key: int(port.value) for key, port in ins.items()})
            for key, value in want.items():
                assert got[key] == value, f"{name}, cycle {len(seen)}: {key} is {got[key]:#x}, not {value:#x}"
            seen.append(got)
            await edge

    cocotb.start_soon(run())
    return seen


async def abort_after(dut: Any, name: str, moment: int, *, long: int, seen: list[dict[str, Any]]) -> None:
    """Abort `moment` cycles from now, for one cycle or a long while, and wait until the watcher `seen` saw it idle."""
    edge = RisingEdge(getattr(dut, f"{name}_clk"))
    request, abort = getattr(dut, f"{name}__request__valid"), getattr(dut, f"{name}__abort")
    for _ in range(moment):
        await edge
    abort.value = 1
    for _ in range(1 + 9 * long):
        await edge
    request.value = 0
    abort.value = 0
    for _ in range(600):
        await ReadOnly()
        if seen and seen[-1]["idle"]:
            break
        await edge
    else:
        raise AssertionError(f"{name} is not idle 600 cycles after an abort")
    await edge
