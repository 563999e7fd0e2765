"""Runs in the simulator; see test_axi_read.py."""

import random

import cocotb
from cocotb.triggers import RisingEdge

from terntable.hw.axi_read import AxiRead
from terntable.models.golden.axi_read import INPUTS, OUTPUTS, AxiReadCycles
from tests.hw.axi_memory import FLAWED, abort_after, memory, watch
from tests.hw.bench.streams import SEED, TRAFFIC, exchange_all, start
from tests.hw.test_axi_read import SETS

STREAMS = {
    "request_valid": "request__valid",
    "request_ready": "request__ready",
    "o_valid": "o__valid",
    "o_ready": "o__ready",
    "idle": "idle",
    "error": "error",
    "beat": "beat",
    "abort": "abort",
}
PINS = {
    name: STREAMS.get(name, f"axi_{name}") for name in (*INPUTS, *OUTPUTS) if not name.startswith("request_")
}


async def prepare(dut, name, *, pause=0.0):
    """Clock, memory and watcher: the memory and the list of watched cycles."""
    await start(dut, name)
    ram = memory(dut, name, SEED, pause=pause)
    twin = AxiReadCycles(**SETS[name])

    def cycle(pins):
        word = pins.pop("word")
        return twin.cycle({**pins, "request_address": word & (1 << 64) - 1, "request_beats": word >> 64})

    pins = {
        **PINS,
        "request_valid": "request__valid",
        "request_ready": "request__ready",
        "word": "request__payload",
    }
    await RisingEdge(getattr(dut, f"{name}_clk"))
    return ram, watch(dut, name, {key: pins[key] for key in (*INPUTS, "word") if key in pins},
                      {key: pins[key] for key in OUTPUTS}, cycle)


def requests(beat_bytes, burst_beats, count):
    """Corner cases first: one beat, a whole burst, ends and beginnings at 4 KiB, then random ones."""
    page, rng = 4096 // beat_bytes, random.Random(SEED)
    return [
        (0, 1),
        (page - 1, 2),
        (1, page),
        (page, burst_beats),
        (3 * page + 1, burst_beats + 1),
        (7, 1),
        (8, 1),
        (9, 1),
        *(
            (rng.randrange(FLAWED.start // beat_bytes - 300), rng.choice((1, 2, 5, rng.randrange(1, 40))))
            for _ in range(count)
        ),
    ]


def words(asked, beat_bytes):
    return [beats << 64 | place * beat_bytes for place, beats in asked]


def beats_of(ram, asked, beat_bytes):
    return [int.from_bytes(ram.read((place + k) * beat_bytes, beat_bytes), "little") for place, beats in asked
            for k in range(beats)]


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def reads(dut, name, traffic):
    ram, seen = await prepare(dut, name, pause=0 if traffic == "flat out" else 0.3)
    size = SETS[name]["beat_bytes"]
    asked = requests(size, SETS[name]["burst_beats"], 12)
    want = beats_of(ram, asked, size)
    result = await exchange_all(dut, name, {"request": words(asked, size)}, {"o": len(want)}, traffic=traffic)
    assert result["o"].payloads == want
    assert sum(cycle["beat"] for cycle in seen) == len(want)
    assert seen[-1]["idle"] and not seen[-1]["error"]
    first = next(n for n, cycle in enumerate(seen) if cycle["arvalid"])
    offered = next(n for n, cycle in enumerate(seen) if not cycle["idle"])
    assert first - (offered - 1) == AxiRead.LATENCY


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def error_stays(dut, name):
    ram, seen = await prepare(dut, name)
    size = SETS[name]["beat_bytes"]
    asked = [(0, 3), (FLAWED.start // size, 1), (5, 3)]
    await exchange_all(dut, name, {"request": words(asked, size)}, {"o": 7}, traffic="bubbles")
    assert seen[-1]["error"] and seen[-1]["idle"]


@cocotb.test()
@cocotb.parametrize(name=list(SETS), moment=[2, 5, 9, 20], long=[0, 1])
async def abort(dut, name, moment, long):
    """A pulse (or a long abort) forgets everything, at any moment; then the master works as before."""
    ram, seen = await prepare(dut, name, pause=0.3)
    size = SETS[name]["beat_bytes"]

    def pin(port):
        return getattr(dut, f"{name}__{port}")

    pin("request__payload").value = words([(3, 150)], size)[0]
    pin("request__valid").value = 1
    pin("o__ready").value = moment == 20
    await abort_after(dut, name, moment, long=long, seen=seen)
    result = await exchange_all(dut, name, {"request": words([(50, 3)], size)}, {"o": 3}, traffic="flat out")
    assert result["o"].payloads == beats_of(ram, [(50, 3)], size)
