"""Runs in the simulator; see test_axi_share.py."""

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from terntable.hw.axi_read import AxiRead
from terntable.hw.axi_share import AxiShare
from terntable.models.golden.axi_burst import bursts
from tests.hw.bench.streams import SEED, TRAFFIC, exchange_all, start
from tests.hw.port_models import Recorder
from tests.hw.read_ports import ReadPorts
from tests.hw.test_axi_share import SETS


async def prepare(dut, name, **memory):
    await start(dut, name)
    await RisingEdge(getattr(dut, f"{name}_clk"))
    return ReadPorts(dut, name, ["bus"], beat_bytes=SETS[name]["beat_bytes"], seed=SEED, never_waits=False, **memory)


def requests(name, count):
    """For each master, (first beat, beats); no two requests of all of them begin at the same burst."""
    rng, masters, long = random.Random(SEED), SETS[name]["masters"], SETS[name]["burst_beats"]
    starts = iter(rng.sample(range(100), masters * count))
    return [[(8 * long * next(starts) + rng.randrange(long), rng.choice((1, long, long + 1, rng.randrange(1, 5 * long))))
             for _ in range(count)] for _ in range(masters)]


def streams(name, asked, ports):
    """Arguments of `exchange_all`, and what each master has to get."""
    size = SETS[name]["beat_bytes"]
    want = [[word for first, beats in mine for word in ports.words(first * size, beats, size)] for mine in asked]
    return (
        {f"request{n}": [beats << 64 | first * size for first, beats in mine] for n, mine in enumerate(asked)},
        {f"o{n}": len(words) for n, words in enumerate(want)},
    ), want


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def gives_each_its_own(dut, name, traffic):
    ports = await prepare(dut, name, delay=(1, 30), pause=0 if traffic == "flat out" else 0.3)
    seen = Recorder(dut, name, ["idle", "error"])
    asked = requests(name, 6)
    arguments, want = streams(name, asked, ports)
    result = await exchange_all(dut, name, *arguments, traffic=traffic)
    for n, words in enumerate(want):
        assert result[f"o{n}"].payloads == words
    size, long = SETS[name]["beat_bytes"], SETS[name]["burst_beats"]
    pieces = [piece for mine in asked for first, beats in mine
              for piece in bursts(first * size, beats, beat_bytes=size, burst_beats=long)]
    assert sorted(ports.ports[0].asked) == sorted(pieces)
    assert ports.ports[0].most <= SETS[name]["share"]
    assert seen["idle"][-1] == (1 << SETS[name]["masters"]) - 1 and not seen["error"][-1]


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def first_master_goes_first(dut, name):
    """While master 0 has an address to offer, no other is accepted; all the same the port is never without work."""
    ports = await prepare(dut, name, delay=(1, 1))
    size, long = SETS[name]["beat_bytes"], SETS[name]["burst_beats"]
    asked = [[(16 * long * n, 8 * long)] for n in range(SETS[name]["masters"])]
    arguments, want = streams(name, asked, ports)
    result = await exchange_all(dut, name, *arguments, traffic="flat out")
    assert [result[f"o{n}"].payloads for n in range(len(want))] == want
    addresses, beats = [address for address, _ in ports.ports[0].asked], ports.ports[0].beats
    assert all(address < 8 * long * size for address in addresses[:SETS[name]["reader"]])
    if name != "scarce":                                     # two bursts of two beats cannot hide the latency
        assert beats[-1] - beats[0] == len(beats) - 1


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def latency(dut, name):
    """An address passes in LATENCY cycles after AxiRead's own, one every cycle."""
    await prepare(dut, name, delay=(50, 50))
    seen = Recorder(dut, name, ["bus__arvalid", "idle"])
    size = SETS[name]["beat_bytes"]
    await exchange_all(dut, name, {f"request{n}": [2 << 64 | n * size * 64] for n in range(2)},
                       {"o0": 2, "o1": 2}, traffic="flat out", limit=60)
    accepted = next(n for n, idle in enumerate(seen["idle"]) if idle != seen["idle"][0]) - 1
    assert seen.cycles("bus__arvalid") == [accepted + AxiRead.LATENCY + AxiShare.LATENCY + n for n in range(2)]


@cocotb.test()
@cocotb.parametrize(name=list(SETS), moment=[3, 6, 15])
async def abort(dut, name, moment):
    """Master 0 aborts while master 1 goes on: the one forgets all, the other gets all."""
    ports = await prepare(dut, name, delay=(5, 20), pause=0.3)
    edge = RisingEdge(getattr(dut, f"{name}_clk"))

    def pin(port):
        return getattr(dut, f"{name}__{port}")

    async def give_up():
        pin("request0__payload").value = 100 << 64
        pin("request0__valid").value = 1
        pin("o0__ready").value = moment == 15
        for _ in range(moment):
            await edge
        pin("abort").value = 1
        await edge
        pin("request0__valid").value = 0
        pin("abort").value = 0
        for _ in range(600):
            await ReadOnly()
            if int(pin("idle").value) & 1:
                return
            await edge
        raise AssertionError(f"{name} is not idle 600 cycles after an abort")

    task = cocotb.start_soon(give_up())
    (ins, outs), want = streams(name, [[], [(64, 30), (7, 9)]], ports)
    result = await exchange_all(dut, name, {"request1": ins["request1"]}, {"o1": outs["o1"]}, traffic="flat out")
    assert result["o1"].payloads == want[1]
    await task
    await edge
    (ins, outs), want = streams(name, [[(9, 12)]], ports)
    result = await exchange_all(dut, name, ins, outs, traffic="bubbles")
    assert result["o0"].payloads == want[0]


@cocotb.test()
async def error_goes_to_its_master(dut):
    ports = await prepare(dut, "two")
    ports.flawed = range(800, 808)
    seen = Recorder(dut, "two", ["error"])
    (ins, outs), want = streams("two", [[(10, 20)], [(96, 10)]], ports)
    result = await exchange_all(dut, "two", ins, outs, traffic="flat out")
    assert [result["o0"].payloads, result["o1"].payloads] == want
    assert seen["error"][-1] == 0b10
