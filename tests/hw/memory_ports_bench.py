"""Runs in the simulator; see test_memory_ports.py."""

import random

import cocotb
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge

from terntable.hw.axi_share import AxiShare
from terntable.hw.striped_read import StripedRead
from tests.hw.bench.streams import SEED, TRAFFIC, exchange_all, start
from tests.hw.port_models import Recorder
from tests.hw.read_ports import ReadPorts
from tests.hw.test_memory_ports import SETS

WATCHED = ["stream_beats", "data_beats", "ring_full", "idle", "error"]

#: Where the clients read; every address tells whose it is.
WEIGHTS, DATA = 0, 1 << 15


class Bench:
    """The unit with a memory; requests are (address, count) in words or wide beats."""

    def __init__(self, dut, name, **memory):
        self.dut, self.name, self.config = dut, name, SETS[name]
        self.size = {"weights": self.config.word_bytes, "data": self.config.beat_bytes}
        self.edge = RisingEdge(getattr(dut, f"{name}_clk"))
        self.memory = ReadPorts(dut, name, [f"buses__{n}" for n in range(self.config.ports)], beat_bytes=self.config.port_bytes,
                                seed=SEED, **memory)
        self.seen = Recorder(dut, name, WATCHED)

    @classmethod
    async def begin(cls, dut, name, **memory):
        await start(dut, name)
        await RisingEdge(getattr(dut, f"{name}_clk"))
        return cls(dut, name, **memory)

    def pin(self, port):
        return getattr(self.dut, f"{self.name}__{port}")

    def request(self, client, asked):
        beats = self.size[client] // self.config.beat_bytes
        return [count * beats << 64 | address for address, count in asked]

    def words(self, client, asked):
        return [word for address, count in asked for word in self.memory.words(address, count, self.size[client])]

    async def exchange(self, traffic, limit=40, **asked):
        """Runs requests of some clients, and checks what each gets."""
        want = {client: self.words(client, requests) for client, requests in asked.items()}
        result = await exchange_all(
            self.dut, self.name, {f"{client}_request": self.request(client, requests) for client, requests in asked.items()},
            {client: len(words) for client, words in want.items()}, traffic=traffic, limit=limit)
        for client, words in want.items():
            assert result[client].payloads == words, client
        return result

    async def ask(self, client, address, count):
        """Hands over a request that will not be read to its end."""
        self.pin(f"{client}_request__payload").value = self.request(client, [(address, count)])[0]
        self.pin(f"{client}_request__valid").value = 1
        await self.edge
        self.pin(f"{client}_request__valid").value = 0

    def counted(self, client):
        """Beats on each port, as the unit points them out."""
        beats = self.seen["stream_beats" if client == "weights" else "data_beats"]
        return [sum(word >> port & 1 for word in beats) for port in range(self.config.ports)]


def requests(config):
    """Weights and data of all lengths, at all places of a stripe."""
    rng, word, beat = random.Random(SEED), config.word_bytes, config.beat_bytes
    weights = [(WEIGHTS + word * rng.randrange(64), count) for count in (1, 30, 2, 77)]
    data = [(DATA + beat * rng.randrange(200), count) for count in (1, 3, 60, 1, 1, 40, 9)]
    return weights, data


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def both_at_once(dut, name, traffic):
    """Each client gets its own words in order, and every beat of a port counts for the one that asked."""
    bench = await Bench.begin(dut, name, delay=(2, 20), pause=0 if traffic == "flat out" else 0.2)
    weights, data = requests(bench.config)
    await bench.exchange(traffic, weights=weights, data=data)
    for client, asked in (("weights", weights), ("data", data)):
        pieces = [address for address, count in asked
                  for address in range(address, address + count * bench.size[client], bench.config.port_bytes)]
        assert bench.counted(client) == [sum(at // bench.config.stripe_bytes % bench.config.ports == port for at in pieces)
                                         for port in range(bench.config.ports)]
    total = [ours + theirs for ours, theirs in zip(bench.counted("weights"), bench.counted("data"), strict=True)]
    assert total == [len(port.beats) for port in bench.memory.ports]
    assert bench.seen["idle"][-1] and not any(bench.seen["error"])


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def data_goes_first(dut, name):
    """Of the addresses that wait for a port, all of data's go before the stream's, but for the one that is on offer."""
    bench = await Bench.begin(dut, name, delay=(9, 9))
    for port in bench.memory.ports:
        port.refuses = True
    bursts, stripe = 8, bench.config.stripe_bytes
    weights = [(WEIGHTS, bursts * bench.config.ports * stripe // bench.config.word_bytes)]
    data = [(DATA, 2 * bench.config.ports * stripe // bench.config.beat_bytes)]
    await bench.ask("weights", *weights[0])
    await ClockCycles(getattr(dut, f"{name}_clk"), 30)
    await bench.ask("data", *data[0])
    await ClockCycles(getattr(dut, f"{name}_clk"), 30)
    for port in bench.memory.ports:
        port.refuses = False
    result = await exchange_all(dut, name, {}, {"weights": weights[0][1], "data": data[0][1]}, traffic="flat out")
    for client, asked in (("weights", weights), ("data", data)):
        assert result[client].payloads == bench.words(client, asked)
    for port in bench.memory.ports:
        assert [address >= DATA for address, _ in port.asked] == [False, True, True] + [False] * (bursts - 1)


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def data_comes_soon(dut, name):
    """A read in the middle of a stream waits for what its port was asked for before, and for nothing else."""
    bench = await Bench.begin(dut, name, delay=(9, 9))
    bench.pin("weights__ready").value = bench.pin("data__ready").value = 1
    await bench.ask("weights", WEIGHTS, (1 << 13) // bench.config.word_bytes)
    await ClockCycles(getattr(dut, f"{name}_clk"), 60)
    asked = bench.memory.now
    await bench.ask("data", DATA + bench.config.beat_bytes, 1)
    for _ in range(200):
        await ReadOnly()
        if int(bench.pin("data__valid").value):
            break
        await bench.edge
    port, got = bench.memory.ports[0], bench.memory.now
    place = next(n for n, (address, _) in enumerate(port.asked) if address >= DATA)
    assert port.moments[place] <= asked + StripedRead.LATENCY + AxiShare.LATENCY + 1
    mine = sum(beats for _, beats in port.asked[:place + 1])             # beats of the port up to the last of the read
    assert got < port.beats[mine - 1] + StripedRead.DATA_LATENCY + bench.config.ports
    assert not bench.seen["idle"][-1]


@cocotb.test()
@cocotb.parametrize(name=list(SETS), still=["weights", "data"])
async def full_buffer_holds_nobody_up(dut, name, still):
    """A client that takes nothing fills its buffer, then the other has the ports to itself."""
    bench = await Bench.begin(dut, name, delay=(4, 4))
    depth = {"weights": bench.config.ring_words, "data": bench.config.data_beats}
    other = "data" if still == "weights" else "weights"
    place = {"weights": WEIGHTS, "data": DATA}
    await bench.ask(still, place[still], 2 * depth[still])
    await ClockCycles(getattr(dut, f"{name}_clk"), 3 * depth[still] + 100)
    assert bench.seen["ring_full"][-1] == (still == "weights")
    filled, since = bench.counted(still), [len(port.beats) for port in bench.memory.ports]
    count = 4 * depth[other]
    result = await bench.exchange("flat out", **{other: [(place[other], count)]})
    assert bench.counted(still) == filled and not bench.seen["idle"][-1]
    if bench.config.ports > 1:                               # one port's bursts of two stripes do not hide the latency
        for port, first in zip(bench.memory.ports, since, strict=True):
            assert port.beats[-1] - port.beats[first] == len(port.beats) - first - 1
    assert result[other].cycles[-1] - result[other].cycles[0] < count * bench.size[other] // bench.config.beat_bytes + 40
    # What waited is still whole.
    left = await exchange_all(dut, name, {}, {still: 2 * depth[still]}, traffic="bubbles")
    assert left[still].payloads == bench.words(still, [(place[still], 2 * depth[still])])
    assert bench.seen["idle"][-1] and not bench.seen["ring_full"][-1]


@cocotb.test()
@cocotb.parametrize(name=list(SETS), who=["weights", "data"])
async def error_of_either(dut, name, who):
    """One bad answer is enough, whoever asked."""
    bench = await Bench.begin(dut, name)
    bench.memory.flawed = range(DATA if who == "data" else WEIGHTS, (DATA if who == "data" else WEIGHTS) + bench.config.port_bytes)
    one = {"weights": (WEIGHTS, 1), "data": (DATA, 1)}
    other = "data" if who == "weights" else "weights"
    await bench.exchange("flat out", **{other: [one[other]]})
    assert not any(bench.seen["error"])
    await bench.exchange("flat out", **{who: [one[who]]})
    assert bench.seen["error"][-1]


@cocotb.test()
@cocotb.parametrize(name=list(SETS), moment=[1, 5, 12, 40])
async def abort_clears_both(dut, name, moment):
    """Nothing is left of either client, and both work as before."""
    bench = await Bench.begin(dut, name, delay=(3, 20), pause=0.2)
    await bench.ask("weights", WEIGHTS, 60)
    await bench.ask("data", DATA, 90)
    bench.pin("weights__ready").value = moment % 2
    await ClockCycles(getattr(dut, f"{name}_clk"), moment)
    bench.pin("abort").value = 1
    await bench.edge
    bench.pin("abort").value = bench.pin("weights__ready").value = 0
    for _ in range(400):
        await ReadOnly()
        if int(bench.pin("idle").value):
            break
        await bench.edge
    else:
        raise AssertionError("not idle 400 cycles after an abort")
    assert not any(port.bursts for port in bench.memory.ports)
    assert not int(bench.pin("weights__valid").value) and not int(bench.pin("data__valid").value)
    await bench.edge
    weights, data = requests(bench.config)
    await bench.exchange("stalls", weights=weights, data=data)
