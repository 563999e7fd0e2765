"""Runs in the simulator; see test_vector.py."""

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from terntable.hw.spec.program import Buffer, VecMode
from terntable.hw.vector import VectorUnit
from terntable.models.golden import float32, lanes
from tests.hw.bench.streams import SEED, TRAFFIC, exchange_all, pack_array, start, unpack_array
from tests.hw.port_models import Recorder, beats_of
from tests.hw.test_vector import COLUMNS, SETS

UNITS = {name: VectorUnit(**sizes) for name, sizes in SETS.items()}
FACTORS = ("inv", "scale", "factor")
WRITES = ("write_valid", "destination", "write_column", "write_float", "write_integer")


class Bench:
    """One instance between buffers, each a matrix of (rows, columns)."""

    def __init__(self, dut, name):
        self.dut, self.name, self.unit = dut, name, UNITS[name]
        self.rows, self.lanes, self.size = self.unit.rows, self.unit.lanes, self.unit.beat_bytes
        self.columns = COLUMNS[name]
        self.rng = np.random.default_rng([SEED, *map(ord, name)])
        self.x, self.y, self.rope = (self.floats(self.rows, self.columns) for _ in range(3))
        self.partial = self.rng.integers(-(2**24), 2**24, (self.rows, self.columns)).astype(np.int32)
        self.partial[:, :4] = [0, -1, 2**31 - 1, -(2**31)]
        self.scalars = {port: self.floats(self.rows) for port in FACTORS}
        for port, values in self.scalars.items():
            self.pin(port).value = pack_array(float32.to_bits(values), 32)
        for port in ("x", "y", "partial", "rope"):
            cocotb.start_soon(self.memory(port))

    def pin(self, port):
        return getattr(self.dut, f"{self.name}__{port}")

    def floats(self, *shape):
        return (self.rng.normal(size=shape) * np.exp(self.rng.normal(size=shape))).astype(np.float32)

    def word(self, matrix, address):
        part = matrix[:, address * self.lanes : (address + 1) * self.lanes]
        return pack_array(np.ascontiguousarray(part.T).view(np.uint32), 32) if part.size else 0

    async def memory(self, port):
        """A buffer's read port; its address comes as the datapath wires it."""
        matrix, pin = getattr(self, port), self.pin
        while True:
            await ReadOnly()
            if port == "x":
                second = int(pin("second_is_x").value)
            else:
                second = port == "y" and int(pin("source").value) != Buffer.Y
            source = "rope_address" if port == "rope" else "second_address" if second else "read_address"
            enabled, address = int(pin("read_enable").value), int(pin(source).value)
            await RisingEdge(getattr(self.dut, f"{self.name}_clk"))
            if enabled:
                pin(port).value = self.word(matrix, address)

    def expected(self, mode, source, at, to, gamma):
        """What leaves, and the largest magnitudes if the mode keeps them; `at` and `to` are column ranges."""
        main = {Buffer.X: self.x, Buffer.Y: self.y, Buffer.PARTIAL: self.partial}[source][:, at]
        inv, scale, factor = self.scalars.values()
        if mode == VecMode.NORM:
            return lanes.norm(main, inv, gamma)
        if mode == VecMode.QUANT:
            return float32.mul(main, scale[:, None]), None
        if mode == VecMode.DEQUANT:
            return lanes.dequant(main, factor)
        if mode == VecMode.ADD:
            return lanes.add_scaled(self.x[:, to], main, factor), None
        if mode == VecMode.RELU2:
            return lanes.relu2(main, factor), None
        if mode == VecMode.MULTIPLY:
            return lanes.multiply(main, factor, self.y[:, to]), None
        pairs = self.rope[:, : main.shape[1]]
        return lanes.rope(main, pairs[:, 0::2], pairs[:, 1::2])

    async def run(self, mode, source, destination, length, offset, offset2, traffic, bits=8):
        """One command; its writes, its registers and the cycle of `done`."""
        gamma = self.floats(length)
        norm = mode == VecMode.NORM
        weights = beats_of(gamma.tobytes(), self.size) if norm else []
        recorder = Recorder(self.dut, self.name, [*WRITES, "done", "busy", "invalid", "amax", "sum"])
        command = (
            mode
            | source << 4
            | destination << 7
            | length << 10
            | offset << 26
            | offset2 << 42
            | (bits == 16) << 58
        )
        words = length // self.lanes
        whole = 2 * words + self.unit.SUM_LATENCY + 8 * len(weights) + 12
        result = await exchange_all(
            self.dut, self.name, {"command": [command], "weights": weights}, {}, traffic=traffic, linger=whole
        )
        recorder.stop()
        what = f"{mode!r}, {length} columns from {offset} to {offset2}"
        (done,) = recorder.cycles("done")
        accepted = result["command"].cycles[0]
        assert recorder.cycles("busy") == list(range(accepted + 1, done + 1)), what
        if mode == VecMode.SUMSQ:
            wanted = lanes.sumsq({Buffer.X: self.x, Buffer.Y: self.y}[source][:, offset : offset + length])
            assert recorder["sum"][done] == pack_array(float32.to_bits(wanted), 32), what
            assert not recorder.cycles("write_valid") and done == accepted + words + self.unit.SUM_LATENCY, (
                what
            )
            return
        at, to = slice(offset, offset + length), slice(offset2, offset2 + length)
        wanted, amax = self.expected(mode, source, at, to, gamma)
        written = recorder.cycles("write_valid")
        assert [recorder["write_column"][now] for now in written] == list(
            range(offset2, offset2 + length, self.lanes)
        ), what
        assert {recorder["destination"][now] for now in written} == {destination}, what
        items, invalid = self.rows * self.lanes, float32.is_invalid(wanted)
        if mode == VecMode.QUANT:
            got = np.stack(
                [unpack_array(recorder["write_integer"][now], 16, items, signed=True) for now in written]
            )
            source_values = {Buffer.X: self.x, Buffer.Y: self.y}[source][:, at]
            wanted = lanes.quant(np.where(invalid, np.float32(0), source_values), self.scalars["scale"], bits)
        else:
            got = np.stack([unpack_array(recorder["write_float"][now], 32, items) for now in written])
            wanted = float32.to_bits(wanted)
        np.testing.assert_array_equal(got.reshape(-1, self.rows).T, wanted, err_msg=what)
        assert any(recorder["invalid"]) == invalid.any(), what
        if amax is not None:
            assert recorder["amax"][done] == pack_array(float32.to_bits(amax), 32), what
        if not norm or traffic == "flat out":
            assert done == accepted + words + self.unit.LATENCY, what


#: Mode, source, destination.
CASES = [
    (VecMode.SUMSQ, Buffer.X, Buffer.X),
    (VecMode.SUMSQ, Buffer.Y, Buffer.X),
    (VecMode.NORM, Buffer.X, Buffer.Y),
    (VecMode.NORM, Buffer.Y, Buffer.Y),
    (VecMode.QUANT, Buffer.Y, Buffer.ACT),
    (VecMode.QUANT, Buffer.Y, Buffer.KEY),
    (VecMode.QUANT, Buffer.Y, Buffer.HEAD),
    (VecMode.DEQUANT, Buffer.PARTIAL, Buffer.Y),
    (VecMode.ADD, Buffer.PARTIAL, Buffer.X),
    (VecMode.RELU2, Buffer.PARTIAL, Buffer.Y),
    (VecMode.MULTIPLY, Buffer.PARTIAL, Buffer.Y),
    (VecMode.ROPE, Buffer.Y, Buffer.Y),
]


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def matches(dut, name, traffic):
    """Every mode: one word, an odd number of words, all columns; from and to any place."""
    await start(dut, name)
    bench = Bench(dut, name)
    for mode, source, destination in CASES:
        lengths = (
            (bench.lanes, 5 * bench.lanes, bench.columns // 2)
            if traffic == "flat out"
            else (5 * bench.lanes,)
        )
        for length in lengths:
            offset, offset2 = (
                bench.lanes * int(k)
                for k in bench.rng.integers((bench.columns - length) // bench.lanes + 1, size=2)
            )
            await bench.run(
                mode,
                source,
                destination,
                length,
                offset,
                offset2,
                traffic,
                bits=16 if destination == Buffer.HEAD else 8,
            )


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def norm_weights_starve(dut, name, traffic):
    """Norms one after another: the padding of each last beat is dropped, and no beat too many taken."""
    await start(dut, name)
    bench = Bench(dut, name)
    parts = bench.size // (4 * bench.lanes)
    for words in (1, parts, parts + 1, 2 * parts - 1, 3 * parts):
        await bench.run(VecMode.NORM, Buffer.X, Buffer.Y, words * bench.lanes, 0, bench.lanes, traffic)


@cocotb.test()
@cocotb.parametrize(name=list(SETS), column=["first", "last"])
async def invalid_is_told(dut, name, column):
    """An infinity in the first or last word is told while busy, and forgotten by the next command."""
    await start(dut, name)
    bench = Bench(dut, name)
    length = 4 * bench.lanes
    for mode, source, destination in CASES:
        if source not in (Buffer.X, Buffer.Y) or mode == VecMode.SUMSQ:
            continue
        values, place = {Buffer.X: bench.x, Buffer.Y: bench.y}[source], 0 if column == "first" else length - 1
        kept, values[:, place] = values[:, place].copy(), np.inf
        await bench.run(mode, source, destination, length, 0, 0, "flat out")
        values[:, place] = kept
        await bench.run(mode, source, destination, length, 0, 0, "flat out")
