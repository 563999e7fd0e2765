"""Runs in the simulator; see test_read_mux.py."""

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from terntable.hw.read_mux import ReadMux
from tests.hw.bench.streams import SEED, TRAFFIC, exchange_all, start
from tests.hw.test_read_mux import SETS


def beat(address: int, number: int, width: int) -> int:
    """What memory holds: every beat is another number."""
    return random.Random(address * 4099 + number).getrandbits(width)


class Memory:
    """Takes requests and answers them in order, with pauses unless `quick`."""

    def __init__(self, dut, name, width, quick):
        self.dut, self.name, self.width, self.quick = dut, name, width, quick
        self.edge, self.rng = RisingEdge(getattr(dut, f"{name}_clk")), random.Random(SEED)
        self.asked: list[tuple[int, int]] = []
        self.first: dict[int, int] = {}
        cocotb.start_soon(self.ask())
        cocotb.start_soon(self.answer())

    def pin(self, port):
        return getattr(self.dut, f"{self.name}__{port}")

    async def ask(self):
        while True:
            self.pin("request__ready").value = self.quick or self.rng.random() < 0.5
            await ReadOnly()
            word = int(self.pin("request__payload").value)
            taken = int(self.pin("request__valid").value) and int(self.pin("request__ready").value)
            await self.edge
            if taken:
                self.asked.append((word & (1 << 64) - 1, word >> 64))

    async def answer(self):
        while True:
            if not self.asked:
                self.pin("i__valid").value = 0
                await self.edge
                continue
            address, count = self.asked.pop(0)
            for number in range(count):
                while not self.quick and self.rng.random() < 0.4:
                    self.pin("i__valid").value = 0
                    await self.edge
                self.pin("i__valid").value, self.pin("i__payload").value = 1, beat(address, number, self.width)
                while True:
                    await ReadOnly()
                    ready = int(self.pin("i__ready").value)
                    await self.edge
                    if ready:
                        break


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def own_beats(dut, name, traffic):
    """Requests of all clients at once, of one beat and of many."""
    await start(dut, name)
    clients, width = SETS[name]["clients"], 8 * SETS[name]["beat_bytes"]
    rng = random.Random(f"{SEED}{name}")
    wanted = {client: [(rng.getrandbits(40) << 6, rng.choice((1, 1, 2, 5, 17))) for _ in range(12)] for client in clients}
    Memory(dut, name, width, traffic == "flat out")
    result = await exchange_all(
        dut, name, {f"{client}_request": [address | count << 64 for address, count in requests]
                    for client, requests in wanted.items()},
        {client: sum(count for _, count in requests) for client, requests in wanted.items()}, traffic=traffic, limit=4000)
    for client, requests in wanted.items():
        assert result[client].payloads == [beat(address, n, width) for address, count in requests for n in range(count)]


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def first_goes_first(dut, name):
    """When all ask at once, requests leave in the order of the clients, and beats come as soon as stated."""
    await start(dut, name)
    clients = SETS[name]["clients"][:2]
    Memory(dut, name, 8 * SETS[name]["beat_bytes"], True)
    result = await exchange_all(dut, name, {f"{client}_request": [(n + 1) << 12 | 3 << 64]
                                            for n, client in enumerate(clients)},
                                {client: 3 for client in clients}, traffic="flat out", limit=200)
    asked = [result[f"{client}_request"].cycles[0] for client in clients]
    assert asked[0] < asked[1]
    first, second = (result[client].cycles for client in clients)
    assert first[0] >= asked[0] + ReadMux.LATENCY and first[-1] < second[0]
