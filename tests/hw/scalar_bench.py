"""Runs in the simulator; see test_scalar.py."""

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from terntable.hw.scalar import FACTOR
from terntable.hw.spec.program import ScalarKind, ScaleOf
from terntable.models.golden import float32, scalar
from tests.hw.bench.streams import SEED, TRAFFIC, exchange_all, pack_array, start, unpack_array
from tests.hw.bench.timing import check_flow
from tests.hw.test_scalar import SETS, units

UNITS = units()

#: Zero, a subnormal, the least and largest normal numbers, about 1e-5 from both sides, INVALID.
MAGNITUDES = [0, 1, 0x00800000, 0x7F7FFFFF, 0x3727C5AB, 0x3727C5AC, 0x3727C5AD, 0x7FC00000, 0x3F800000]
SUMS = [*MAGNITUDES, 1 << 31, 0xBF800000]
COUNT = 24


class Model:
    """The commands, inputs for each, and what the registers hold after it."""

    def __init__(self, rows, slots, rng):
        kinds = [(ScalarKind.NORM, 0), *((ScalarKind.QUANT, scale) for scale in ScaleOf), (FACTOR, 0), (FACTOR, 1)]
        self.kinds = [kinds[n] for n in rng.permutation(COUNT) % len(kinds)]
        self.imm = (2.0 ** rng.uniform(-10, 10, COUNT)).astype(np.float32)
        self.imm[::6] = 127
        self.imm2 = (2.0 ** rng.uniform(-20, 0, COUNT)).astype(np.float32)
        self.slots = rng.integers(0, slots + 2, COUNT) * rng.integers(0, 2, COUNT)
        self.sum = self._rows(rng, rows, SUMS)
        self.amax = self._rows(rng, rows, MAGNITUDES)
        registers = {name: np.zeros(rows, np.uint32) for name in ("inv", "s", "d", "factor", "factor2")}
        self.registers = [dict(registers)]
        self.inverses: list[int] = []    # what QUANT leaves in `d` or in a slot; 0 for other commands
        for n, (kind, scale_of) in enumerate(self.kinds):
            self.inverses.append(0)
            inv, d = (float32.from_bits(registers[name]) for name in ("inv", "d"))
            factors = {"factor": scalar.factor(d, self.imm[n]), "factor2": scalar.factor(d, self.imm2[n])}
            if kind == ScalarKind.NORM:
                results = {"inv": scalar.norm_scale(self.sum[n], self.imm[n], self.imm2[n])}
            elif kind == ScalarKind.QUANT:
                f = {ScaleOf.ONE: np.ones(rows, np.float32), ScaleOf.INV: inv, ScaleOf.FACTOR: factors["factor2"]}[scale_of]
                s, scale = scalar.quant_scale(self.amax[n], self.imm[n], f)
                results = {"s": s} if self.slots[n] else {"s": s, "d": scale}
                if scale_of == ScaleOf.FACTOR:
                    results |= factors
                self.inverses[n] = pack_array(float32.to_bits(scale), 32)
            else:
                results = factors
            registers.update({name: float32.to_bits(value) for name, value in results.items()})
            self.registers.append(dict(registers))

    @staticmethod
    def _rows(rng, rows, corners):
        values = float32.to_bits((2.0 ** rng.uniform(-30, 30, (COUNT, rows))).astype(np.float32))
        values.flat[:4 * len(corners)] = rng.permutation(4 * corners)[:values.size]
        return float32.from_bits(values)

    def words(self):
        imm, imm2 = float32.to_bits(self.imm), float32.to_bits(self.imm2)
        return [kind | scale_of << 2 | int(imm[n]) << 4 | int(imm2[n]) << 36 | int(self.slots[n]) << 68
                for n, (kind, scale_of) in enumerate(self.kinds)]


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def matches(dut, name, traffic):
    """Every register, flag and slot in every cycle, with inputs that change as soon as they may."""
    await start(dut, name)
    unit = UNITS[name]
    rng = np.random.default_rng([SEED, *map(ord, name)])
    model = Model(unit.rows, unit.slots, rng)
    seen = []

    async def watch():
        """Record each cycle; give a command its inputs from the cycle after it is accepted."""
        accepted, port = 0, {key: getattr(dut, f"{name}__{key}") for key in (
            "command__valid", "command__ready", "sum", "amax", "busy", "done", "inv", "s", "d", "factor",
            "factor2", "slot_address", "slot_data")}
        while True:
            address = int(rng.integers(unit.slots))
            port["slot_address"].value = address
            await ReadOnly()
            seen.append({"address": address, **{key: int(handle.value) for key, handle in port.items()}})
            fires = seen[-1]["command__valid"] and seen[-1]["command__ready"]
            await RisingEdge(getattr(dut, f"{name}_clk"))
            if fires:
                port["sum"].value = pack_array(float32.to_bits(model.sum[accepted]), 32)
                port["amax"].value = pack_array(float32.to_bits(model.amax[accepted]), 32)
                accepted += 1

    watcher = cocotb.start_soon(watch())
    longest = unit.latency(ScalarKind.QUANT, ScaleOf.FACTOR) + unit.latency(ScalarKind.NORM)
    result = await exchange_all(dut, name, {"command": model.words()}, {}, traffic=traffic, limit=2 * longest,
                                linger=longest + 2)
    watcher.cancel()
    flow = result["command"]
    cycles = range(len(flow.ready))
    done = [start + unit.latency(*kind) for start, kind in zip(flow.cycles, model.kinds, strict=True)]
    busy = [0 for _ in cycles]
    for first, last in zip(flow.cycles, done, strict=True):
        busy[first + 1:last] = [1] * (last - first - 1)
    check_flow("command.ready", flow.ready, [1 - flag for flag in busy])
    check_flow("busy", [one["busy"] for one in seen[:len(cycles)]], busy)
    check_flow("done", [one["done"] for one in seen[:len(cycles)]], [int(now in done) for now in cycles])
    check_registers(seen[:len(cycles)], model, unit, flow.cycles, done)


def check_registers(seen, model, unit, accepted, done):
    """Compare registers in the cycles in which no command is under way, and read slots in all."""
    slots, addressed = {}, None
    completed, pending = 0, 0
    for now, one in enumerate(seen):
        if completed < len(done) and now == done[completed]:
            completed += 1
        if pending < len(accepted) and now > accepted[pending]:
            pending += 1
        if completed == pending:
            for register, bits in model.registers[completed].items():
                got = unpack_array(one[register], 32, unit.rows).tolist()
                message = f"{register} in cycle {now}, after command {completed - 1}"
                assert completed == 0 or got == bits.tolist(), message
        if addressed is not None:
            assert one["slot_data"] == addressed, f"slot_data in cycle {now}"
        if completed and now == done[completed - 1] and model.kinds[completed - 1][0] == ScalarKind.QUANT:
            slot = int(model.slots[completed - 1])
            if 1 <= slot <= unit.slots:
                slots[slot - 1] = model.inverses[completed - 1]
        addressed = slots.get(one["address"])
    assert completed == COUNT and slots
