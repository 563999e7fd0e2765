"""Runs in the simulator; see test_sequencer.py."""

import random

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge

from terntable.hw.descriptor_fetch import SCALED
from terntable.hw.sequencer import Sequencer
from terntable.hw.spec.program import (
    DESCRIPTOR,
    FETCH_DESCRIPTORS,
    OF_SHORTLIST,
    ROW_BYTES,
    Buffer,
    Fault,
    Op,
    VecMode,
)
from tests.hw.bench.streams import SEED, TRAFFIC, exchange_all, reset, start
from tests.hw.port_models import Recorder, beats_of, pulse
from tests.hw.test_sequencer import LIMITS, SETS

#: Outputs of the sequencer that are recorded in every cycle.
WATCHED = (
    "busy",
    "done",
    "rows_next",
    "running",
    "engine_wait",
    "table_start",
    "op",
    "descriptor",
    "index",
    "active",
    "unit_start",
    "units_ready",
    "unit_done",
    "factor_start",
    "factor_done",
    "completed",
    "fault",
    "engine_busy",
)
BASES = {"rows_base": 0x123456780, "program_base": 0x9_0000_0040, "stream_base": 0xFEDC_BA98_7640,
         "shortlist_base": 0x7_6543_2100}


def descriptor(op, rng, **fields):
    """One legal descriptor with its other fields at random."""
    item = np.frombuffer(rng.bytes(DESCRIPTOR.itemsize), DESCRIPTOR).copy()[0]
    item["op"], item["length"] = op, rng.integers(1, LIMITS.get(op, 1) + 1)
    # Every length and offset that a unit takes fits its buffers.
    item["offset"], item["offset2"] = 16, 0
    if op == Op.VEC:
        item["length"] = 32
        item["a"], item["b"], item["c"] = (
            rng.integers(len(VecMode)),
            rng.integers(3),
            rng.integers(len(Buffer)),
        )
    if op in (Op.ATTENTION, Op.KV_STORE):
        item["c"] = rng.integers(1, 3)
    if op in (Op.MATMUL, Op.HEAD):
        item["a"] = 0
    for name, value in fields.items():
        item[name] = value
    return item


def as_word(item) -> int:
    return int.from_bytes(item.tobytes(), "little")


class Units:
    """The row table, the scalar unit's factor step and the running unit, each answering after some cycles."""

    def __init__(self, dut, name, any_output, slow, any_logits=False):
        self.dut, self.name = dut, name
        self.edge, self.rng = RisingEdge(getattr(dut, f"{name}_clk")), random.Random(f"{SEED}{name}{slow}")
        self.any_output, self.any_logits, self.slow = any_output, any_logits, slow
        self.tasks = [
            cocotb.start_soon(self.table()),
            *(cocotb.start_soon(self.unit(kind)) for kind in ("unit", "factor")),
        ]

    def pin(self, port):
        return getattr(self.dut, f"{self.name}__{port}")

    def stop(self):
        for task in self.tasks:
            task.cancel()

    async def wait(self, condition):
        while True:
            await ReadOnly()
            met = condition()
            await self.edge
            if met:
                return

    async def rest(self):
        for _ in range(self.rng.randrange(4) if self.slow else 0):
            await self.edge

    async def pulse(self, port):
        self.pin(port).value = 1
        await self.edge
        self.pin(port).value = 0

    async def table(self):
        self.pin("any_output").value, self.pin("any_logits").value = not self.any_output, not self.any_logits
        while True:
            await self.wait(lambda: int(self.pin("rows_next").value))
            await self.rest()
            self.pin("any_output").value, self.pin("any_logits").value = self.any_output, self.any_logits
            await self.pulse("table_done")

    async def unit(self, kind):
        """Takes no other command until after it is done, and sometimes not at once then."""
        self.pin("units_ready").value = 1
        while True:
            await self.wait(lambda: int(self.pin(f"{kind}_start").value))
            if kind == "unit" and int(self.pin("unit_start").value) == 1 << Op.MATMUL:
                cocotb.start_soon(self.engine())
                continue
            self.pin("units_ready").value = 0
            for _ in range(2):
                await self.edge
            await self.rest()
            await self.pulse(f"{kind}_done")
            await self.rest()
            self.pin("units_ready").value = 1

    async def engine(self):
        """Busy for some time after a matrix is given to it."""
        self.pin("engine_busy").value = 1
        for _ in range(self.rng.randrange(1, 40) if self.slow else 9):
            await self.edge
        self.pin("engine_busy").value = 0


def uses_engine(word) -> bool:
    """Whether a descriptor must not start while the engine has a matrix."""
    op, mode, target = word & 255, word >> 8 & 255, word >> 24 & 255
    return op in (Op.MATMUL, Op.HEAD) or op == Op.VEC and (
        mode == VecMode.NORM or mode == VecMode.QUANT and target == Buffer.ACT)


def dispatched(program, any_output, two_stage):
    """What starts, in order: (kind, index, descriptor); and how many descriptors are completed."""
    events = []
    for index, item in enumerate(program):
        if item["op"] == Op.END:
            return events, index
        if item["op"] == Op.HEAD and not any_output:
            continue
        if not two_stage and (item["op"] == Op.SHORTLIST or item["op"] == Op.MATMUL and item["a"] == OF_SHORTLIST):
            continue
        if item["op"] == Op.VEC and item["a"] in SCALED:
            events.append(("factor", index, as_word(item)))
        events.append(("unit", index, as_word(item)))
    raise AssertionError("A program ends with END")


def risings(recorder, port):
    values = [0, *recorder[port]]
    return [
        now
        for now, (before, after) in enumerate(zip(values, values[1:], strict=False))
        if after and not before
    ]


async def run(dut, name, program, any_output, traffic, count, beats=(100, 23, 0), any_logits=False):
    """One pass, compared from start to END; `beats` are words of weights, head and shortlist."""
    size = SETS[name]["beat_bytes"]
    two_stage = any_output and not any_logits and beats[2] != 0
    events, completed = dispatched(program, any_output, two_stage)
    blocks = completed // FETCH_DESCRIPTORS + 1
    padded = b"".join(item.tobytes() for item in program).ljust(
        FETCH_DESCRIPTORS * DESCRIPTOR.itemsize * blocks, b"\0"
    )
    stream = beats_of(padded[: FETCH_DESCRIPTORS * DESCRIPTOR.itemsize * blocks], size)
    for port, value in (
        *BASES.items(),
        ("rows_count", count),
        ("stream_words", beats[0]),
        ("head_words", beats[1]),
        ("shortlist_words", beats[2]),
    ):
        getattr(dut, f"{name}__{port}").value = value
    total = 2 * (beats[0] + (beats[1] if any_output and not two_stage else 0))
    reads = [BASES["stream_base"] | total << 64] * (total != 0) + [BASES["shortlist_base"] | 2 * beats[2] << 64] * two_stage
    units = Units(dut, name, any_output, traffic != "flat out", any_logits)
    recorder = Recorder(dut, name, WATCHED)
    cocotb.start_soon(pulse(dut, name, "start"))
    result = await exchange_all(
        dut,
        name,
        {"i": stream},
        {"request": 1 + blocks, "stream_request": len(reads)},
        traffic=traffic,
        limit=60,
        linger=0,
    )
    for _ in range(100 * (completed + 1)):
        if recorder.cycles("done") or any(recorder["fault"]):
            break
        await RisingEdge(getattr(dut, f"{name}_clk"))
    await ClockCycles(getattr(dut, f"{name}_clk"), 4)
    recorder.stop()
    units.stop()
    assert not any(recorder["fault"]) and len(recorder.cycles("done")) == 1
    block_bytes = FETCH_DESCRIPTORS * DESCRIPTOR.itemsize
    assert result["request"].payloads == [
        BASES["rows_base"] | count * ROW_BYTES // size << 64,
        *(BASES["program_base"] + n * block_bytes | block_bytes // size << 64 for n in range(blocks)),
    ]
    assert result["stream_request"].payloads == reads
    starts = sorted((now, kind) for kind in ("unit", "factor") for now in risings(recorder, f"{kind}_start"))
    assert [(kind, recorder["index"][now], recorder["descriptor"][now]) for now, kind in starts] == events
    assert all(recorder["op"][now] == recorder["descriptor"][now] & 255 for now, _ in starts)
    # A start lasts a cycle and is told to one unit, which is active then.
    told = [(now, start) for now, start in enumerate(recorder["unit_start"]) if start]
    assert [now for now, _ in told] == [now for now, kind in starts if kind == "unit"]
    assert all(start == recorder["active"][now] == 1 << recorder["op"][now] for now, start in told)
    assert all((active != 0) == running for active, running in zip(recorder["active"], recorder["running"], strict=True))
    assert all(recorder["units_ready"][now - 2] for now, _ in starts if not recorder["factor_done"][now - 1])
    assert len(recorder.cycles("completed")) == completed and len(recorder.cycles("table_start")) == 1
    for now in recorder.cycles("unit_start"):
        assert recorder["running"][now]
        assert not (recorder["engine_busy"][now] and uses_engine(recorder["descriptor"][now])), "The engine is still busy"
    for now in recorder.cycles("done"):
        assert not recorder["engine_busy"][now]
    waited = [now for now in recorder.cycles("engine_wait") if not recorder["engine_busy"][now]]
    assert not waited
    for done in recorder.cycles("unit_done"):
        after = [(now, kind) for now, kind in starts if now > done]
        if (
            after
            and after[0][1] == "unit"
            and not recorder["engine_busy"][done + 2]
            and recorder["units_ready"][done + 1]
            and recorder["index"][after[0][0]] == recorder["index"][done] + 1
            and (recorder["index"][done] + 1) % FETCH_DESCRIPTORS
        ):
            assert after[0][0] == done + Sequencer.LATENCY
    first, last = risings(recorder, "busy")[0], recorder.cycles("done")[0]
    assert recorder.cycles("busy") == list(range(first, last + 1))


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def runs(dut, name, traffic):
    """Every opcode and mode; programs that end in, at and just after a block; with and without head."""
    await start(dut, name)
    rng = np.random.default_rng([SEED, *map(ord, name)])
    whole = [descriptor(op, rng) for op in Op if op not in (Op.END, Op.VEC)]
    whole += [descriptor(Op.VEC, rng, a=mode) for mode in VecMode]
    end = descriptor(Op.END, rng)
    rows = SETS[name]["rows"]
    whole.append(descriptor(Op.MATMUL, rng, a=OF_SHORTLIST, length=LIMITS[Op.SHORTLIST]))
    await run(dut, name, [end], True, traffic, 1, beats=(0, 0, 0))
    await run(dut, name, [*whole[7:15], whole[7], end], False, traffic, rows, beats=(0, 9, 0))
    for any_output in (True, False):
        await run(dut, name, [*whole, *whole[:4], end], any_output, traffic, rows)
    for any_logits in (True, False):
        await run(dut, name, [*whole, end], True, traffic, rows, beats=(100, 23, 7), any_logits=any_logits)
    await run(dut, name, [*whole, end], False, traffic, rows, beats=(0, 23, 7))
    await run(dut, name, [*whole[-3:], end], True, traffic, rows, beats=(0, 23, 9))
    if traffic == "flat out":
        await run(dut, name, [*whole, end], True, traffic, 1)
        await run(dut, name, [*whole, whole[0], end], True, traffic, rows)
        await run(dut, name, [*whole, *whole, *whole[:2], end], True, traffic, rows)


def illegal(rng, sizes):
    """Descriptors that no unit may see."""
    inputs = sizes["max_inputs"]
    yield from (descriptor(op, rng) for op in (11, 12, 128, 255))
    for op, limit in LIMITS.items():
        yield from (descriptor(op, rng, length=length) for length in (0, limit + 1, limit | 1 << 20, 1 << 31))
    yield from (
        descriptor(Op.VEC, rng, **{field: value})
        for field, value in (("a", 7), ("a", 255), ("b", 3), ("b", 128), ("c", 8), ("c", 255))
    )
    for op in (Op.MATMUL, Op.HEAD):
        yield from (descriptor(op, rng, offset=offset) for offset in (0, inputs + 1, 1 << 16))
    yield from (descriptor(op, rng, a=a) for op in (Op.MATMUL, Op.HEAD) for a in (2, 3, 255))
    yield descriptor(Op.MATMUL, rng, a=OF_SHORTLIST, length=LIMITS[Op.SHORTLIST] + 1)
    yield from (descriptor(op, rng, c=c) for op in (Op.ATTENTION, Op.KV_STORE) for c in (0, 3, 255))


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def refuses_descriptors(dut, name):
    """The fault lasts a cycle and names the descriptor; nothing starts, and nothing goes on until a reset."""
    rng = np.random.default_rng([SEED, *map(ord, name)])
    await start(dut, name)
    for number, bad in enumerate(illegal(rng, SETS[name])):
        await reset(dut, name, cycles=1)
        # The illegal one is the first, then the second and so on, so that all places are met.
        at = number % FETCH_DESCRIPTORS if number % 8 == 0 else 0
        program = [*[descriptor(Op.SCALAR, rng)] * at, bad, descriptor(Op.END, rng)]
        raw = b"".join(item.tobytes() for item in program).ljust(
            FETCH_DESCRIPTORS * DESCRIPTOR.itemsize, b"\0"
        )
        stream = beats_of(raw[: FETCH_DESCRIPTORS * DESCRIPTOR.itemsize], SETS[name]["beat_bytes"])
        for port, value in (*BASES.items(), ("rows_count", 1), ("stream_words", 1)):
            getattr(dut, f"{name}__{port}").value = value
        units, recorder = Units(dut, name, True, False), Recorder(dut, name, WATCHED)
        cocotb.start_soon(pulse(dut, name, "start"))
        await exchange_all(
            dut,
            name,
            {"i": stream},
            {"request": 2, "stream_request": 1},
            traffic="flat out",
            linger=8 + 7 * at,
        )
        recorder.stop()
        units.stop()
        (now,) = recorder.cycles("fault")
        assert recorder["fault"][now] == Fault.BAD_DESCRIPTOR and recorder["index"][now] == at, bad
        assert len(recorder.cycles("unit_done")) == at and not recorder.cycles("done"), bad
        assert recorder["busy"][-1] and not any(
            recorder[f"{kind}_start"][-1] for kind in ("unit", "factor")
        ), bad


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def refuses_rows(dut, name):
    """No rows, one too many, and a count whose low bits look right: no request is made."""
    await start(dut, name)
    for count in (0, SETS[name]["rows"] + 1, 1 << 8, 1 << 31 | 1):
        await reset(dut, name, cycles=1)
        getattr(dut, f"{name}__rows_count").value = count
        recorder = Recorder(dut, name, WATCHED)
        cocotb.start_soon(pulse(dut, name, "start"))
        await exchange_all(dut, name, {}, {"request": 0, "stream_request": 0}, traffic="flat out", linger=10)
        recorder.stop()
        (now,) = recorder.cycles("fault")
        assert recorder["fault"][now] == Fault.BAD_ROW and not recorder.cycles("table_start")
