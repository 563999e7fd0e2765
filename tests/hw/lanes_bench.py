"""Runs in the simulator; see test_lanes.py."""

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from terntable.hw.spec.program import VecMode
from terntable.models.golden import float32, lanes
from tests.hw.bench.streams import SEED, TRAFFIC, exchange, pack_array, start, unpack_array
from tests.hw.bench.timing import check_flow, check_rigid_pipe
from tests.hw.test_lanes import SETS, units

UNITS = units()

#: Zeros, ones, a subnormal, the least and largest normal numbers, infinities, a NaN with payload.
FLOATS = [0, 1 << 31, 0x3F800000, 0xBF800000, 0x00000001, 0x807FFFFF, 0x00800000, 0x80800000, 0x7F7FFFFF,
          0xFF7FFFFF, 0x7F800000, 0xFF800000, 0x7FC12345]

#: Extremes, and integers halfway between two floats.
INTEGERS = [0, 1, -1, 2**31 - 1, -2**31, 2**24 + 1, 2**24 + 3, -2**24 - 1, 127, -128]

WITH_INTEGERS = (VecMode.DEQUANT, VecMode.ADD, VecMode.RELU2, VecMode.MULTIPLY)


def floats(rng, shape, corners):
    bits = float32.to_bits((rng.normal(size=shape) * np.exp(rng.normal(size=shape))).astype(np.float32))
    if corners:
        bits.T.flat[:2 * len(FLOATS)] = rng.permutation(2 * FLOATS)[:bits.size]
    return float32.from_bits(bits)


def integers(rng, shape, corners):
    values = rng.integers(-2**20, 2**20, shape).astype(np.int32)
    if corners:
        values.T.flat[:len(INTEGERS)] = INTEGERS[:values.size]
    return values


def expected(mode, a, b, factor, bits):
    """What leaves in each mode: ``(y, q or None, amax or None)``; `b` as the input stream has it."""
    if mode == VecMode.NORM:
        y, amax = lanes.norm(a, factor, b[0])
        return y, None, amax
    if mode == VecMode.QUANT:
        y = float32.mul(a, factor[:, None])
        return y, lanes.quant(np.where(float32.is_invalid(y), np.float32(0), a), factor, bits), None
    if mode == VecMode.DEQUANT:
        y, amax = lanes.dequant(a, factor)
        return y, None, amax
    if mode == VecMode.ROPE:
        y, amax = lanes.rope(a, b[:, 0::2], b[:, 1::2])
        return y, None, amax
    if mode == VecMode.ADD:
        return lanes.add_scaled(b, a, factor), None, None
    return lanes.relu2(a, factor) if mode == VecMode.RELU2 else lanes.multiply(a, factor, b), None, None


class Bench:
    """One instance and what its registers have to hold."""

    def __init__(self, dut, name, traffic):
        self.dut, self.name, self.traffic, self.unit = dut, name, traffic, UNITS[name]
        self.rows, self.lanes = self.unit.rows, self.unit.lanes
        self.rng = np.random.default_rng([SEED, *map(ord, name)])
        self.amax = np.zeros(self.rows, np.uint32)

    def port(self, name):
        return getattr(self.dut, f"{self.name}__{name}")

    def row_bits(self, name):
        return unpack_array(int(self.port(name).value), 32, self.rows).astype(np.uint32)

    async def begin(self, mode, factor, bits):
        """Drive what is static in an operation and pulse `clear`."""
        self.port("mode").value = int(mode)
        self.port("bits16").value = int(bits == 16)
        self.port("factor").value = pack_array(float32.to_bits(factor), 32)
        self.port("clear").value = 1
        await RisingEdge(getattr(self.dut, f"{self.name}_clk"))
        self.port("clear").value = 0

    def words(self, a, b):
        """Words of the input stream from two (rows, columns) arrays of 32 bits."""
        width, count = 32 * self.rows * self.lanes, a.shape[1] // self.lanes
        a, b = (array.view(np.uint32).T.reshape(count, self.lanes, self.rows) for array in (a, b))
        return [pack_array(a[n], 32) | pack_array(b[n], 32) << width | (n == count - 1) << 2 * width
                for n in range(count)]

    def unpack(self, payloads):
        """(y bits, q, last) of output words, the former two (rows, columns)."""
        items = self.rows * self.lanes
        raw = [p.to_bytes(6 * items + 1, "little") for p in payloads]
        y = np.stack([np.frombuffer(p, "<u4", items) for p in raw]).reshape(-1, self.rows).T
        q = np.stack([np.frombuffer(p, "<i2", items, 4 * items) for p in raw]).reshape(-1, self.rows).T
        return y, q, [p[-1] for p in raw]

    async def run(self, mode, columns, corners, bits=16):
        """One operation that has results; all of them, and the registers, are compared."""
        make = integers if mode in WITH_INTEGERS else floats
        a = make(self.rng, (self.rows, columns), corners)
        b = floats(self.rng, (self.rows, columns), corners)
        if mode == VecMode.NORM:
            b = np.broadcast_to(b[0], b.shape).copy()
        factor = floats(self.rng, self.rows, corners=False)
        if mode == VecMode.QUANT:
            factor = (factor * np.float32(1 << bits - 2)).astype(np.float32)
        await self.begin(mode, factor, bits)
        result = await exchange(self.dut, self.name, self.words(a, b), traffic=self.traffic)
        check_rigid_pipe(result, self.unit.LATENCY)
        y, q, last = self.unpack(result.o.payloads)
        wanted, integer, amax = expected(mode, a, b, factor, bits)
        np.testing.assert_array_equal(y, float32.to_bits(wanted), err_msg=f"{mode!r} y")
        assert last == [0] * (len(last) - 1) + [1]
        if integer is not None:
            np.testing.assert_array_equal(q, integer, err_msg=f"{mode!r} q")
        if amax is not None:
            self.amax = float32.to_bits(amax)
        np.testing.assert_array_equal(self.row_bits("amax"), self.amax, err_msg=f"{mode!r} amax")
        assert int(self.port("invalid").value) == float32.is_invalid(wanted).any()
        assert int(self.port("sum_valid").value) == 0

    async def run_sum(self, columns, corners):
        """SUMSQ: no results, then the sum in a known cycle."""
        x = floats(self.rng, (self.rows, columns), corners)
        await self.begin(VecMode.SUMSQ, floats(self.rng, self.rows, corners=False), 8)
        seen = []

        async def watch():
            while True:
                await ReadOnly()
                seen.append(int(self.port("sum_valid").value))
                await RisingEdge(getattr(self.dut, f"{self.name}_clk"))

        watcher = cocotb.start_soon(watch())
        words = self.words(x, x[:, ::-1].copy())
        result = await exchange(self.dut, self.name, words, 0, traffic=self.traffic,
                                linger=self.unit.SUM_LATENCY + 3)
        watcher.cancel()
        ended = result.i.cycles[-1]
        cycles = range(len(result.i.ready))
        check_flow("i.ready", result.i.ready, [int(now <= ended) for now in cycles])
        check_flow("o.valid", result.o.valid, [0 for _ in cycles])
        from_here = ended + self.unit.SUM_LATENCY
        check_flow("sum_valid", seen[:len(cycles)], [int(now >= from_here) for now in cycles])
        wanted = lanes.sumsq(x)
        np.testing.assert_array_equal(self.row_bits("sum"), float32.to_bits(wanted), err_msg="sum")
        assert int(self.port("invalid").value) == float32.is_invalid(wanted).any()
        np.testing.assert_array_equal(self.row_bits("amax"), self.amax, err_msg="amax after SUMSQ")


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def matches(dut, name, traffic):
    await start(dut, name)
    bench = Bench(dut, name, traffic)
    for corners in (True, False):
        for mode in VecMode:
            columns = bench.lanes * (24 if corners else 12)
            if mode == VecMode.SUMSQ:
                await bench.run_sum(columns, corners)
            elif mode == VecMode.QUANT:
                await bench.run(mode, columns, corners, bits=8)
                await bench.run(mode, columns, corners, bits=16)
            else:
                await bench.run(mode, columns, corners)


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=["flat out", "bubbles"])
async def sums_of_any_length(dut, name, traffic):
    """From one word to three turns of the partial sums and more; nothing is left over from the sum before."""
    await start(dut, name)
    bench = Bench(dut, name, traffic)
    for columns in (bench.lanes, 100, 2 * bench.lanes, 64, 32, 32 - bench.lanes, 32 + bench.lanes):
        await bench.run_sum(columns, corners=False)
