"""Runs in the simulator; see test_csr.py."""

import logging
import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from terntable.hw.csr import Csr
from terntable.hw.spec.registers import CONTROL_RESET, CONTROL_START, REGISTERS
from tests.hw.bench.streams import SEED, start

WORDS = {
    register.offset + 4 * half: (register, half)
    for register in REGISTERS
    for half in range(register.width // 32)
}
RO = [register for register in REGISTERS if register.access == "ro"]
RW = [register for register in REGISTERS if register.access == "rw" and register.name != "control"]


def pin(dut, name):
    return getattr(dut, f"csr__{name}")


async def prepare(dut, pauses=()):
    """Clock and a master; `pauses` names the channels that rest at random."""
    await start(dut, "csr")
    logging.getLogger("cocotb.top").setLevel(logging.WARNING)
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "csr__bus_"), dut.csr_clk)
    channels = {
        "aw": master.write_if.aw_channel,
        "w": master.write_if.w_channel,
        "b": master.write_if.b_channel,
        "ar": master.read_if.ar_channel,
        "r": master.read_if.r_channel,
    }
    for name in pauses:
        rng = random.Random(f"{SEED}{name}")
        channels[name].set_pause_generator(iter(lambda rng=rng: rng.random() < 0.6, None))
    await RisingEdge(dut.csr_clk)
    return master


@cocotb.test()
@cocotb.parametrize(pauses=[(), ("aw",), ("w",), ("b", "r"), ("aw", "w", "b", "ar", "r")])
async def holds(dut, pauses):
    """Random reads and writes of words with random strobes, against a dictionary."""
    master, rng = await prepare(dut, pauses), random.Random(SEED)
    model = {offset: 0 for offset in WORDS}
    for register in RO:
        value = rng.getrandbits(register.width)
        pin(dut, register.name).value = value
        for half in range(register.width // 32):
            model[register.offset + 4 * half] = value >> 32 * half & 0xFFFFFFFF
    for k in range(150):
        offset = rng.choice([*WORDS, max(WORDS) + 4, 0xFFC, 0x800])
        known = offset in WORDS
        if k % 3:
            size = rng.choice((1, 2, 4, 4))
            part = rng.randrange(0, 4, size)
            data = rng.randbytes(size)
            answer = await master.write(offset + part, data)
            if known and WORDS[offset][0] in RW:
                word = bytearray(model[offset].to_bytes(4, "little"))
                word[part:part + size] = data
                model[offset] = int.from_bytes(word, "little")
                register, half = WORDS[offset]
                assert int(pin(dut, register.name).value) >> 32 * half & 0xFFFFFFFF == model[offset]
        else:
            answer = await master.read(offset, 4)
            assert int.from_bytes(answer.data, "little") == (model[offset] if known else 0)
        assert answer.resp == (AxiResp.OKAY if known else AxiResp.SLVERR)
    for offset in WORDS:
        assert int.from_bytes((await master.read(offset, 4)).data, "little") == model[offset]


@cocotb.test()
async def pulses(dut):
    """Every write of a bit is one pulse, one cycle long; a write that strobes other bytes is none."""
    master = await prepare(dut)
    seen = []

    async def watch():
        while True:
            await ReadOnly()
            seen.append((int(pin(dut, "start").value), int(pin(dut, "reset").value)))
            await RisingEdge(dut.csr_clk)

    cocotb.start_soon(watch())
    for value in (CONTROL_START, CONTROL_START, CONTROL_RESET, CONTROL_START | CONTROL_RESET, 0, 0xFFFFFFFC):
        await master.write(0, value.to_bytes(4, "little"))
    await master.write(1, b"\xff\xff")
    await RisingEdge(dut.csr_clk)
    assert [pair for pair in seen if any(pair)] == [(1, 0), (1, 0), (0, 1), (1, 1)]
    assert int.from_bytes((await master.read(0, 4)).data, "little") == 0


class Pins:
    """The port, driven by hand cycle by cycle."""

    def __init__(self, dut):
        self.dut = dut

    async def cycle(self, **values):
        """Outputs before the edge of a cycle with these inputs."""
        for name, value in values.items():
            pin(self.dut, f"bus__{name}").value = value
        await ReadOnly()
        out = {name: int(pin(self.dut, f"bus__{name}").value)
               for name in ("awready", "wready", "bvalid", "bresp", "arready", "rvalid", "rdata", "rresp")}
        await RisingEdge(self.dut.csr_clk)
        return out


@cocotb.test()
@cocotb.parametrize(lead=[0, 1, 4], first=["aw", "w"])
async def order_of_address_and_data(dut, lead, first):
    """The one may come `lead` cycles before the other; the answer is LATENCY cycles after both."""
    await start(dut, "csr")
    pins = Pins(dut)
    second = "w" if first == "aw" else "aw"
    await pins.cycle(bready=0, awaddr=RW[0].offset, wdata=0x5A, wstrb=15)
    if lead:
        out = await pins.cycle(**{f"{first}valid": 1})
        assert out[f"{first}ready"]
        for _ in range(lead - 1):
            out = await pins.cycle(**{f"{first}valid": 0})
            assert not out[f"{first}ready"] and not out["bvalid"]
        out = await pins.cycle(**{f"{first}valid": 0, f"{second}valid": 1})
        assert out[f"{second}ready"]
    else:
        await pins.cycle(awvalid=1, wvalid=1)
    out = await pins.cycle(awvalid=0, wvalid=0)
    assert not out["bvalid"]
    for _ in range(Csr.LATENCY["write"] - 2):
        assert not (await pins.cycle())["bvalid"]
    for _ in range(3):
        assert (await pins.cycle())["bvalid"]
    assert (await pins.cycle(bready=1))["bvalid"]
    assert not (await pins.cycle())["bvalid"]
    assert int(pin(dut, RW[0].name).value) == 0x5A


@cocotb.test()
async def read_every_cycle(dut):
    await start(dut, "csr")
    pins = Pins(dut)
    for register in RO:
        pin(dut, register.name).value = register.offset + 1
    await pins.cycle(rready=1)
    shown = []
    for register in RO:
        out = await pins.cycle(arvalid=1, araddr=register.offset)
        assert out["arready"]
        shown.append(out["rdata"] if out["rvalid"] else None)
    shown.append((await pins.cycle(arvalid=0))["rdata"])
    assert shown == [None] * Csr.LATENCY["read"] + [register.offset + 1 for register in RO]
    # A response that is not taken holds still and keeps the next address out.
    await pins.cycle(rready=0)
    await pins.cycle(arvalid=1, araddr=RO[0].offset)
    for _ in range(4):
        out = await pins.cycle(araddr=RO[1].offset)
        assert out["rvalid"] and not out["arready"] and out["rdata"] == RO[0].offset + 1
    assert (await pins.cycle(rready=1))["arready"]
    assert (await pins.cycle(arvalid=0))["rdata"] == RO[1].offset + 1
