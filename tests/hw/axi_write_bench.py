"""Runs in the simulator; see test_axi_write.py."""

import random

import cocotb
from cocotb.triggers import RisingEdge

from terntable.hw.axi_write import AxiWrite
from terntable.models.golden.axi_write import INPUTS, OUTPUTS, AxiWriteCycles
from tests.hw.axi_memory import FLAWED, SIZE, abort_after, memory, watch
from tests.hw.bench.streams import SEED, TRAFFIC, exchange_all, start
from tests.hw.test_axi_write import SETS

PORTS = {"request_ready": "request__ready", "request_valid": "request__valid", "request": "request__payload",
         "i_valid": "i__valid", "i_ready": "i__ready", "i_payload": "i__payload",
         **{name: name for name in ("idle", "error", "beat", "abort")}}


async def prepare(dut, name, *, pause=0.0):
    """Clock, memory and watcher: the memory and the list of watched cycles."""
    await start(dut, name)
    ram = memory(dut, name, SEED, pause=pause)
    twin = AxiWriteCycles(**SETS[name])

    def cycle(pins):
        word = pins.pop("request")
        return twin.cycle({**pins, "request_address": word & (1 << 64) - 1, "request_beats": word >> 64})

    inputs = [key for key in INPUTS if key not in ("request_address", "request_beats")]
    await RisingEdge(getattr(dut, f"{name}_clk"))
    return ram, watch(dut, name, {key: PORTS.get(key, f"axi_{key}") for key in (*inputs, "request")},
                      {key: PORTS.get(key, f"axi_{key}") for key in OUTPUTS}, cycle)


def requests(beat_bytes, burst_beats, count):
    """Corner cases first: one beat, a page, ends and beginnings at 4 KiB; then random ones. No overlap."""
    page, rng = 4096 // beat_bytes, random.Random(SEED)
    asked = [
        (0, 1),
        (page - 1, 2),
        (2 * page, page),
        (4 * page, burst_beats),
        (5 * page + 1, burst_beats + 1),
        (7, 1),
        (8, 1),
        (9, 1),
    ]
    return [*asked, *((7 * page + 50 * k + rng.randrange(10), rng.choice((1, 2, 5, rng.randrange(1, 40))))
                      for k in range(count))]


def words(asked, beat_bytes):
    return [beats << 64 | place * beat_bytes for place, beats in asked]


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def writes(dut, name, traffic):
    ram, seen = await prepare(dut, name, pause=0 if traffic == "flat out" else 0.3)
    size, rng = SETS[name]["beat_bytes"], random.Random(SEED + 1)
    asked = requests(size, SETS[name]["burst_beats"], 12)
    data = [rng.randbytes(size) for _, beats in asked for _ in range(beats)]
    want, rest = bytearray(ram.read(0, SIZE)), iter(data)
    for place, beats in asked:
        for k in range(beats):
            want[(place + k) * size:(place + k + 1) * size] = next(rest)
    payloads = [int.from_bytes(beat, "little") for beat in data]
    await exchange_all(
        dut, name, {"request": words(asked, size), "i": payloads}, {}, traffic=traffic, linger=100
    )
    assert seen[-1]["idle"] and not seen[-1]["error"]
    assert ram.read(0, SIZE) == want, "memory differs"
    assert sum(cycle["beat"] for cycle in seen) == len(data)
    first = next(n for n, cycle in enumerate(seen) if cycle["awvalid"])
    offered = next(n for n, cycle in enumerate(seen) if not cycle["idle"])
    assert first - (offered - 1) == AxiWrite.LATENCY


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def error_stays(dut, name):
    ram, seen = await prepare(dut, name)
    size = SETS[name]["beat_bytes"]
    asked = [(0, 3), (FLAWED.start // size, 1), (5, 3)]
    await exchange_all(
        dut, name, {"request": words(asked, size), "i": range(7)}, {}, traffic="bubbles", linger=60
    )
    assert seen[-1]["error"] and seen[-1]["idle"]


@cocotb.test()
@cocotb.parametrize(name=list(SETS), moment=[2, 5, 9, 20], long=[0, 1], data=[0, 1])
async def abort(dut, name, moment, long, data):
    """A pulse (or a long abort) forgets everything, with and without data; nothing else is written."""
    ram, seen = await prepare(dut, name, pause=0.3)
    size = SETS[name]["beat_bytes"]
    before, filler = ram.read(0, SIZE), (1 << 8 * size) - 1

    def pin(port):
        return getattr(dut, f"{name}__{port}")

    pin("request__payload").value = words([(3, 150)], size)[0]
    pin("request__valid").value = 1
    pin("i__payload").value = filler
    pin("i__valid").value = data
    await abort_after(dut, name, moment, long=long, seen=seen)
    pin("i__valid").value = 0
    taken = sum(cycle["beat"] for cycle in seen)
    assert ram.read(0, SIZE) == before[:3 * size] + b"\xff" * taken * size + before[(3 + taken) * size:]
    await exchange_all(
        dut, name, {"request": words([(50, 3)], size), "i": [1, 2, 3]}, {}, traffic="flat out", linger=40
    )
    assert seen[-1]["idle"]
    assert ram.read(50 * size, 3 * size) == b"".join(k.to_bytes(size, "little") for k in (1, 2, 3))
