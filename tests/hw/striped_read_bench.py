"""Runs in the simulator; see test_striped_read.py."""

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge
from cocotb.utils import get_sim_time

from terntable.hw.striped_read import StripedRead
from terntable.models.golden.axi_burst import bursts
from tests.hw.bench.streams import SEED, TRAFFIC, exchange_all, start
from tests.hw.port_models import Recorder
from tests.hw.read_ports import ReadPorts
from tests.hw.test_striped_read import FAST, PAIR, SETS

WATCHED = ["idle", "error", "beats", "level", "starved", "o__valid", "request__valid", "request__ready"]


class Sizes:
    """What follows from a set, in bytes and beats."""

    def __init__(self, sizes):
        self.ports, self.port_bytes = sizes["ports"], sizes["port_bytes"]
        self.beat = self.ports * self.port_bytes
        self.word_beats = sizes["word_beats"]
        self.word = self.beat * self.word_beats
        self.burst = sizes["burst_beats"] * self.port_bytes
        self.stripe = sizes["stripe_bytes"] or self.burst

    def port(self, address):
        return address // self.stripe % self.ports


async def prepare(dut, name, **memory):
    """Clock, memory and recorder."""
    await start(dut, name)
    await RisingEdge(getattr(dut, f"{name}_clk"))
    sizes = Sizes(SETS[name])
    ports = ReadPorts(dut, name, [f"buses__{n}" for n in range(sizes.ports)], beat_bytes=sizes.port_bytes, seed=SEED, **memory)
    return ports, Recorder(dut, name, WATCHED), sizes


def requests(sizes, count):
    """(address, words): one word, whole stripes, starts and ends within stripes and bursts, then random ones."""
    rng, burst, stripe = random.Random(SEED), sizes.burst // sizes.word, sizes.stripe // sizes.word
    around = sizes.ports * stripe
    corners = [(0, 1), (1, 1), (stripe - 1, 2), (0, around), (stripe, 1), (burst - 1, burst + 1), (3 * stripe + 1, stripe),
               (around - 1, 1), (around + 1, 2 * around - 1)]
    drawn = [(rng.randrange(256), rng.choice((1, 2, burst, stripe, rng.randrange(1, 3 * around)))) for _ in range(count)]
    return [(word * sizes.word, words) for word, words in (*corners, *drawn)]


def words_of(asked, sizes):
    return [words * sizes.word_beats << 64 | address for address, words in asked]


def wanted(ports, asked, sizes):
    return [word for address, words in asked for word in ports.words(address, words, sizes.word)]


def check_bursts(ports, asked, sizes, limit):
    """Each port was asked for exactly its own bursts, in order."""
    pieces = [piece for address, words in asked
              for piece in bursts(address, words * sizes.word // sizes.port_bytes, beat_bytes=sizes.port_bytes,
                                  burst_beats=sizes.burst // sizes.port_bytes)]
    for number, port in enumerate(ports.ports):
        assert port.asked == [(address, beats) for address, beats in pieces if sizes.port(address) == number]
        assert port.most <= limit


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC), uneven=[0, 1])
async def reads(dut, name, traffic, uneven):
    """Every beat in order, however fast the ports and the reader are; a beat on a port never waits."""
    flat_out = traffic == "flat out"
    ports, seen, sizes = await prepare(dut, name, delay=(1, 40) if uneven else (5, 5), pause=0 if flat_out else 0.3)
    asked = requests(sizes, 8)
    want = wanted(ports, asked, sizes)
    result = await exchange_all(dut, name, {"request": words_of(asked, sizes)}, {"o": len(want)}, traffic=traffic, limit=60)
    assert result["o"].payloads == want
    check_bursts(ports, asked, sizes, SETS[name]["outstanding"])
    assert [sum(beats >> n & 1 for beats in seen["beats"]) for n in range(sizes.ports)] == [len(port.beats) for port in ports.ports]
    assert seen["idle"][-1] and not seen["error"][-1] and seen["level"][-1] == 0
    assert max(seen["level"]) <= SETS[name]["depth"]


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def latency(dut, name):
    """One word: when it is asked for, and when it is offered after its last port beat."""
    ports, seen, sizes = await prepare(dut, name, delay=(9, 9))
    at = sizes.stripe * (sizes.ports - 1)
    await exchange_all(dut, name, {"request": words_of([(at, 1)], sizes)}, {"o": 1}, traffic="flat out", limit=60)
    port = ports.ports[-1]
    accepted = [now for now in seen.cycles("request__valid") if seen["request__ready"][now]]
    assert [now + StripedRead.LATENCY for now in accepted] == port.moments
    assert StripedRead.DATA_LATENCY <= seen.cycles("o__valid")[0] - port.beats[-1] < StripedRead.DATA_LATENCY + sizes.ports


@cocotb.test()
@cocotb.parametrize(name=FAST)
async def full_speed(dut, name):
    """Once the ports answer, each brings a beat in every cycle; the reader is behind by the other ports' stripes."""
    ports, seen, sizes = await prepare(dut, name, delay=(12, 12))
    words = 12 * sizes.ports * sizes.stripe // sizes.word
    asked = [(0, words // 2), (words // 2 * sizes.word, words - words // 2)]
    result = await exchange_all(dut, name, {"request": words_of(asked, sizes)}, {"o": words}, traffic="flat out")
    assert result["o"].payloads == ports.words(0, words, sizes.word)
    beats = words * sizes.word_beats
    for port in ports.ports:
        assert port.beats[-1] - port.beats[0] + 1 == beats
    last = max(port.beats[-1] for port in ports.ports)
    behind = (sizes.ports - 1) * sizes.stripe // sizes.word
    assert seen.cycles("o__valid")[-1] < last + StripedRead.DATA_LATENCY + sizes.ports + behind


@cocotb.test()
@cocotb.parametrize(name=FAST)
async def a_word_every_cycle(dut, name):
    """What waits in the ring is read without a gap."""
    ports, seen, sizes = await prepare(dut, name, delay=(2, 2))
    edge = RisingEdge(getattr(dut, f"{name}_clk"))
    count = SETS[name]["depth"] - SETS[name]["burst_beats"] // sizes.ports // sizes.word_beats
    count -= count % (sizes.burst // sizes.word)
    getattr(dut, f"{name}__request__payload").value = words_of([(0, count)], sizes)[0]
    getattr(dut, f"{name}__request__valid").value = 1
    await edge
    getattr(dut, f"{name}__request__valid").value = 0
    for _ in range(4 * count * sizes.word_beats + 100):
        await edge
    assert seen["level"][-1] == count - 3
    result = await exchange_all(dut, name, {}, {"o": count}, traffic="flat out")
    assert result["o"].payloads == ports.words(0, count, sizes.word)
    assert result["o"].cycles == list(range(count))


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def ring_fills(dut, name):
    """Without a reader the asking stops when the ring is full, with `starved`, and all that was asked for has come."""
    ports, seen, sizes = await prepare(dut, name, delay=(3, 20))
    depth, burst = SETS[name]["depth"], sizes.burst // sizes.word
    count = depth + 8 * burst
    word = words_of([(0, count)], sizes)[0]
    edge = RisingEdge(getattr(dut, f"{name}_clk"))
    getattr(dut, f"{name}__request__payload").value = word
    getattr(dut, f"{name}__request__valid").value = 1
    await edge
    getattr(dut, f"{name}__request__valid").value = 0
    for _ in range(6 * depth * sizes.word_beats + 300):
        await edge
    asked = sum(beats for port in ports.ports for _, beats in port.asked) * sizes.port_bytes // sizes.word
    out = min(3, asked)
    assert asked == sum(len(port.beats) for port in ports.ports) * sizes.port_bytes // sizes.word
    assert depth - burst < seen["level"][-1] <= depth and asked == seen["level"][-1] + out
    assert seen["starved"][-1] and not seen["idle"][-1] and not seen["request__ready"][-1]
    result = await exchange_all(dut, name, {}, {"o": count}, traffic="stalls", limit=60)
    assert result["o"].payloads == ports.words(0, count, sizes.word)
    assert seen["idle"][-1] and not seen["starved"][-1]


@cocotb.test()
@cocotb.parametrize(name=["two", "four", "words"], slow=[0, 1])
async def slow_port(dut, name, slow):
    """A port that refuses its addresses does not stop the others until the ring or its queue is full."""
    ports, seen, sizes = await prepare(dut, name, delay=(3, 3))
    ports.ports[slow].refuses = True
    count = 20 * sizes.ports * sizes.stripe // sizes.word
    edge = RisingEdge(getattr(dut, f"{name}_clk"))
    getattr(dut, f"{name}__request__payload").value = words_of([(0, count)], sizes)[0]
    getattr(dut, f"{name}__request__valid").value = 1
    await edge
    getattr(dut, f"{name}__request__valid").value = 0
    for _ in range(600):
        await edge
    room, burst = SETS[name]["depth"], sizes.burst // sizes.word
    # The words before the slow port's first stripe have left the ring as far as the registers behind it hold them.
    placed = (room + min(3, slow * burst)) // burst
    expected = min(placed, sizes.ports * SETS[name].get("queue", 16) + slow)
    for number, port in enumerate(ports.ports):
        mine = len(range(number, expected, sizes.ports))
        assert len(port.asked) == (0 if number == slow else mine), number
    assert seen["level"][-1] == max(0, slow * burst - 3)
    ports.ports[slow].refuses = False
    result = await exchange_all(dut, name, {}, {"o": count}, traffic="flat out")
    assert result["o"].payloads == ports.words(0, count, sizes.word)


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def error_stays(dut, name):
    """The beats of an error pass like others."""
    ports, seen, sizes = await prepare(dut, name)
    at = sizes.stripe * (sizes.ports - 1)
    ports.flawed = range(at + sizes.word - sizes.port_bytes, at + sizes.word)
    for asked, failed in (((at + sizes.word, 2), 0), ((at, 1), 1), ((0, 1), 1)):
        result = await exchange_all(dut, name, {"request": words_of([asked], sizes)}, {"o": asked[1]}, traffic="bubbles")
        assert result["o"].payloads == ports.words(*asked, sizes.word)
        assert seen["error"][-1] == failed


@cocotb.test()
@cocotb.parametrize(name=list(SETS), moment=[1, 3, 4, 5, 9, 33], long=[0, 1])
async def abort(dut, name, moment, long):
    """A pulse (or a long abort) forgets everything, at any moment; then the unit works as before."""
    ports, seen, sizes = await prepare(dut, name, delay=(2, 30), pause=0.3)
    edge = RisingEdge(getattr(dut, f"{name}_clk"))

    def pin(port):
        return getattr(dut, f"{name}__{port}")

    pin("request__payload").value = words_of([(sizes.word, 200)], sizes)[0]
    pin("request__valid").value = 1
    pin("o__ready").value = moment % 2
    for _ in range(moment):
        await edge
    pin("request__valid").value = 0
    pin("abort").value = 1
    for _ in range(1 + 9 * long):
        await edge
        pin("o__ready").value = 0
    pin("abort").value = 0
    for _ in range(600):
        await ReadOnly()
        if int(pin("idle").value):
            break
        assert not int(pin("request__ready").value)
        await edge
    else:
        raise AssertionError(f"{name} is not idle 600 cycles after an abort")
    assert not any(port.bursts for port in ports.ports) and not int(pin("o__valid").value)
    await edge
    asked = requests(sizes, 0)[:6]
    want = wanted(ports, asked, sizes)
    result = await exchange_all(dut, name, {"request": words_of(asked, sizes)}, {"o": len(want)}, traffic="stalls", limit=60)
    assert result["o"].payloads == want
    assert seen["idle"][-1] and seen["level"][-1] == 0


@cocotb.test()
@cocotb.parametrize(name=["least", "pairs", "two", "words"])
async def abort_at_the_end(dut, name):
    """A pulse when all beats of a request have come and its word is on its way: that is not seen again."""
    ports, seen, sizes = await prepare(dut, name, delay=(2, 2))
    edge = RisingEdge(getattr(dut, f"{name}_clk"))
    asked = [(sizes.stripe * sizes.ports, 2)]                # of the same port
    for moment in range(sizes.ports * (StripedRead.DATA_LATENCY + 2)):
        offset, turn = divmod(moment, sizes.ports)
        while get_sim_time("ns") // 10 % sizes.ports != turn:    # the ports' turns to write go on all the time
            await edge
        getattr(dut, f"{name}__request__payload").value = words_of([(0, 1)], sizes)[0]
        getattr(dut, f"{name}__request__valid").value = 1
        await edge
        getattr(dut, f"{name}__request__valid").value = 0
        for _ in range(StripedRead.LATENCY + 1 + sizes.word // sizes.port_bytes + offset):
            await edge
        getattr(dut, f"{name}__abort").value = 1
        await edge
        getattr(dut, f"{name}__abort").value = 0
        for _ in range(4):
            await edge
        result = await exchange_all(dut, name, {"request": words_of(asked, sizes)}, {"o": 2}, traffic="flat out", limit=60)
        assert result["o"].payloads == wanted(ports, asked, sizes), (offset, turn)
    assert seen["idle"][-1] and seen["level"][-1] == 0


@cocotb.test()
@cocotb.parametrize(traffic=list(TRAFFIC))
async def two_clients(dut, traffic):
    """Two striped reads on the same ports get their own; at full speed the ports are never without a beat for long."""
    await start(dut, "pair")
    await RisingEdge(dut.pair_clk)
    ports = ReadPorts(dut, "pair", [f"buses__{n}" for n in range(4)], beat_bytes=4, seed=SEED, delay=(10, 16),
                      pause=0 if traffic == "flat out" else 0.2)
    sizes = {name: Sizes(part) for name, part in PAIR.items()}
    asked = {"data": [*requests(sizes["data"], 4), (0, 400)], "weights": [(4096, 100), (4096 + 3200, 333)]}
    want = {name: wanted(ports, part, sizes[name]) for name, part in asked.items()}
    result = await exchange_all(dut, "pair", {f"{name}_request": words_of(part, sizes[name]) for name, part in asked.items()},
                                {f"{name}_o": len(words) for name, words in want.items()}, traffic=traffic)
    for name, words in want.items():
        assert result[f"{name}_o"].payloads == words
    if traffic == "flat out":
        beats = sum(len(words) * sizes[name].word_beats for name, words in want.items())
        assert max(port.beats[-1] for port in ports.ports) < 1.1 * beats + 64


@cocotb.test()
@cocotb.parametrize(moment=[10, 30, 70], who=[0, 1])
async def one_client_aborts(dut, moment, who):
    """The other one gets all that it asked for."""
    await start(dut, "pair")
    edge = RisingEdge(dut.pair_clk)
    await edge
    ports = ReadPorts(dut, "pair", [f"buses__{n}" for n in range(4)], beat_bytes=4, seed=SEED, delay=(5, 16), pause=0.2)
    names = list(PAIR)
    loser, other = names[who], names[1 - who]
    sizes = {name: Sizes(part) for name, part in PAIR.items()}
    getattr(dut, f"pair__{loser}_request__payload").value = words_of([(0, 500)], sizes[loser])[0]
    getattr(dut, f"pair__{loser}_request__valid").value = 1
    getattr(dut, f"pair__{loser}_o__ready").value = 1

    async def give_up():
        for _ in range(moment):
            await edge
        getattr(dut, f"pair__{loser}_request__valid").value = 0
        dut.pair__abort.value = 1 << who
        await edge
        dut.pair__abort.value = 0
        for _ in range(400):
            await ReadOnly()
            if int(dut.pair__idle.value) >> who & 1:
                return
            await edge
        raise AssertionError("not idle 400 cycles after an abort")

    task = cocotb.start_soon(give_up())
    for name in (other, loser):
        asked = [(2048, 90), (32, 7)]
        want = wanted(ports, asked, sizes[name])
        result = await exchange_all(dut, "pair", {f"{name}_request": words_of(asked, sizes[name])}, {f"{name}_o": len(want)},
                                    traffic="bubbles")
        assert result[f"{name}_o"].payloads == want
        await task
        await edge
