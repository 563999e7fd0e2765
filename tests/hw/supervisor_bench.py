"""Runs in the simulator; see test_supervisor.py."""

import random

import cocotb
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge

from terntable.hw.spec.program import Fault, Op
from terntable.hw.spec.registers import COUNTERS, STATUS_BUSY, STATUS_DONE, STATUS_ERROR
from terntable.hw.supervisor import EVENTS, Supervisor
from tests.hw.bench.streams import SEED, start
from tests.hw.port_models import Recorder
from tests.hw.test_supervisor import SETS


class Pins:
    """A supervisor, cycle by cycle."""

    def __init__(self, dut, unit):
        self.dut, self.unit, self.edge = dut, unit, RisingEdge(getattr(dut, f"{unit}_clk"))

    def pin(self, name):
        return getattr(self.dut, f"{self.unit}__{name}")

    async def cycle(self, **values):
        """What the unit shows in a cycle in which these inputs pulse."""
        for name, value in values.items():
            self.pin(name).value = value
        await ReadOnly()
        out = {
            name: int(self.pin(name).value)
            for name in ("begin", "abort", "clear", "interrupt", "status", "fault_cause", "fault_index")
        }
        await self.edge
        for name in values:
            self.pin(name).value = 0
        return out

    async def shown(self, **values):
        """Outputs after an edge with these inputs."""
        await self.cycle(**values)
        return await self.cycle()


async def supervisor(dut, unit="four"):
    await start(dut, unit)
    return Pins(dut, unit)


@cocotb.test()
async def passes_end(dut):
    """Busy the cycle after start, done the cycle after the end; a start meanwhile is ignored."""
    pins = await supervisor(dut)
    out = await pins.cycle()
    assert out["status"] == 0 and not out["begin"]
    pins.pin("interrupt_enable").value = 1
    for index in range(2):
        out = await pins.cycle(start=1)
        assert out["begin"] and out["status"] == (STATUS_DONE if index else 0)
        out = await pins.cycle(start=1)
        assert out["status"] == STATUS_BUSY and not out["begin"] and not out["interrupt"]
        for _ in range(3):
            assert (await pins.cycle())["status"] == STATUS_BUSY
        assert (await pins.cycle(finished=1))["status"] == STATUS_BUSY
        out = await pins.cycle()
        assert out["status"] == STATUS_DONE and out["interrupt"] and not out["abort"]
        pins.pin("interrupt_enable").value = 0
        assert not (await pins.cycle())["interrupt"]
        pins.pin("interrupt_enable").value = 1


@cocotb.test()
@cocotb.parametrize(cause=list(Fault)[1:], wait=[0, 1, 2, 3, 4, 30])
async def faults_stop(dut, cause, wait):
    """Traffic stops, what flies lands, then one clear and the error."""
    pins = await supervisor(dut)
    pins.pin("interrupt_enable").value = 1
    await pins.cycle(start=1)
    await pins.cycle()
    out = await pins.cycle(fault=cause, index=77)
    assert out["status"] == STATUS_BUSY and not out["abort"]
    for now in range(max(3, wait)):
        # Drained in the first cycles says nothing: the masters have not seen the abort.
        out = await pins.cycle(
            drained=int(wait == 0 or now >= wait and now > 2), fault=Fault.NUMERIC, index=78
        )
        assert out["abort"] and not out["clear"] and out["status"] == STATUS_BUSY, f"cycle {now}"
    out = await pins.cycle(drained=1)
    assert out["abort"] and not out["clear"]
    out = await pins.cycle()
    assert out["abort"] and out["clear"] and out["status"] == STATUS_BUSY
    out = await pins.cycle()
    assert (out["status"], out["fault_cause"], out["fault_index"]) == (STATUS_ERROR, cause, 77)
    assert out["interrupt"] and not out["abort"] and not out["clear"]
    out = await pins.shown(start=1)
    assert (out["status"], out["fault_cause"], out["fault_index"], out["interrupt"]) == (STATUS_BUSY, 0, 0, 0)


@cocotb.test()
@cocotb.parametrize(end=["drained", "reset"])
async def dead_bus_is_left(dut, end):
    """A bus that never drains holds the fault back for DRAIN_CYCLES, not for ever; the datapath waits on."""
    pins = await supervisor(dut)
    await pins.cycle(start=1)
    await pins.cycle(fault=Fault.READ_ERROR, index=3)
    seen = Recorder(dut, "four", ["status", "clear", "abort"])
    await ClockCycles(dut.four_clk, Supervisor.DRAIN_CYCLES + 5)
    seen.stop()
    assert seen["status"].index(STATUS_ERROR) == Supervisor.DRAIN_CYCLES + 1
    assert not any(seen["clear"]) and all(seen["abort"])
    out = await pins.shown(start=1)
    assert (out["status"], out["fault_cause"], out["fault_index"]) == (STATUS_ERROR, Fault.READ_ERROR, 3)
    assert out["abort"] and not out["begin"], "started while old traffic is in flight"
    if end == "drained":
        await pins.cycle(drained=1)
        out = await pins.cycle()
        assert out["clear"] and out["abort"]
        assert (await pins.cycle())["status"] == STATUS_ERROR
    else:
        await pins.cycle(reset=1, drained=1)
        for _ in range(6):
            await pins.cycle(drained=1)
        assert (await pins.cycle())["status"] == 0
    out = await pins.cycle(start=1)
    assert out["begin"] and not out["abort"]


@cocotb.test()
@cocotb.parametrize(limit=[1, 2, 40], during=[0, 3])
async def watchdog_bites(dut, limit, during):
    """`limit` cycles after the start or the last completed descriptor, unless it is 0."""
    pins = await supervisor(dut)
    pins.pin("watchdog").value = limit
    await pins.cycle(start=1)
    for _ in range(during):
        # A descriptor that takes exactly the limit is in time.
        for _ in range(limit - 1):
            assert not (await pins.cycle())["abort"]
        assert not (await pins.cycle(completed=1))["abort"]
    for _ in range(limit):
        assert not (await pins.cycle(index=9))["abort"]
    assert not (await pins.cycle(index=9))["abort"]
    assert (await pins.cycle(drained=1))["abort"]
    for _ in range(5):
        await pins.cycle(drained=1)
    out = await pins.cycle()
    assert (out["status"], out["fault_cause"], out["fault_index"]) == (STATUS_ERROR, Fault.WATCHDOG, 9)


@cocotb.test()
async def watchdog_off(dut):
    pins = await supervisor(dut)
    await pins.cycle(start=1)
    for _ in range(300):
        assert (await pins.cycle())["status"] == STATUS_BUSY


@cocotb.test()
@cocotb.parametrize(when=["idle", "done", "error", "running", "aborting", "clearing"])
async def reset_leaves_nothing(dut, when):
    """From any state: the datapath is cleared once more, then no status, no fault, and a start works."""
    pins = await supervisor(dut)
    if when != "idle":
        await pins.cycle(start=1)
        await pins.cycle()
    if when == "done":
        assert (await pins.shown(finished=1))["status"] == STATUS_DONE
    if when in ("error", "aborting", "clearing"):
        await pins.cycle(fault=Fault.BAD_WEIGHT, index=5)
        for _ in range({"error": 6, "aborting": 1, "clearing": 4}[when]):
            await pins.cycle(drained=1)
    if when in ("idle", "done", "error"):
        # The counters are a cycle behind.
        await pins.cycle(drained=1)
    cycles = int(pins.pin("cycles").value)
    clear = Recorder(dut, "four", ["clear"])
    await pins.cycle(reset=1, drained=1)
    for _ in range(8):
        await pins.cycle(drained=1)
    clear.stop()
    out = await pins.cycle()
    assert (out["status"], out["fault_cause"], out["fault_index"], out["interrupt"]) == (0, 0, 0, 0)
    assert len(clear.cycles("clear")) == 1
    if when in ("idle", "done", "error"):
        assert int(pins.pin("cycles").value) == cycles, "a reset is not part of the last pass"
    out = await pins.cycle(start=1)
    assert out["begin"] and (await pins.cycle())["status"] == STATUS_BUSY


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def counts(dut, name):
    """Every counter, from the doorbell to the end; a new pass starts them at zero, also at once, and rest keeps them."""
    pins, rng = await supervisor(dut, name), random.Random(SEED)
    ports, size = SETS[name]["ports"], SETS[name]["port_bytes"]
    units = {Op.VEC: "vector_cycles", Op.SCALAR: "scalar_cycles", Op.ATTENTION: "attention_cycles", Op.KV_STORE: "store_cycles",
             Op.MOVE: "store_cycles", Op.EMBED: "load_cycles", Op.ROPE: "load_cycles", Op.HEAD: "head_cycles",
             Op.SHORTLIST: "head_cycles"}
    noise = {"stream_beats": (1 << ports) - 1, "data_beats": 1, "write_beat": 1, "completed": 1, "unit_running": 1,
             "running_op": Op.HEAD, **{f"{event}_event": 1 for event in EVENTS}}
    for length, rest in ((150, 0), (60, 4), (1, 4), (250, 4)):
        model = dict.fromkeys(COUNTERS, 0)
        await pins.cycle(start=1, **noise)
        for now in range(length):
            bits = {key: rng.randrange(2) for key in noise if key not in ("stream_beats", "data_beats", "running_op")}
            stream, data, op = rng.randrange(1 << ports), rng.randrange(1 << ports), rng.choice(list(Op))
            await pins.cycle(**bits, stream_beats=stream, data_beats=data, running_op=op, finished=int(now == length - 1))
            model["cycles"] += 1
            model["descriptors"] += bits["completed"]
            for event in EVENTS:
                model[event] += bits[f"{event}_event"]
            for counter, beats in (("stream_bytes", stream.bit_count()), ("read_bytes", data.bit_count()),
                                   ("write_bytes", bits["write_beat"])):
                model[counter] += size * beats
            for port in range(ports):
                model[f"port{port}_bytes"] += size * ((stream >> port & 1) + (data >> port & 1))
            if bits["unit_running"] and op in units:
                model[units[op]] += 1
        for _ in range(rest):
            await pins.cycle(**noise)
        if rest:
            await ReadOnly()
            assert {counter: int(pins.pin(counter).value) for counter in model} == model
            await pins.edge


@cocotb.test()
async def counts_no_reset(dut):
    """What a stopping pass still does counts, until a reset ends it."""
    pins = await supervisor(dut)
    await pins.cycle(start=1)
    for _ in range(10):
        await pins.cycle(word_stalls_event=1)
    await pins.cycle(word_stalls_event=1, fault=Fault.NUMERIC)
    for _ in range(5):
        await pins.cycle(word_stalls_event=1)
    await pins.cycle(word_stalls_event=1, reset=1)
    for _ in range(5):
        await pins.cycle(word_stalls_event=1)
    await ReadOnly()
    assert int(pins.pin("word_stalls").value) == int(pins.pin("cycles").value) == 17
