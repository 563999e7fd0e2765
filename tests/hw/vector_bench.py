"""Runs in the simulator; see test_vector.py."""

import random
from collections import deque

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from terntable.hw.lanes import FROM_SUMS, GATED
from terntable.hw.spec.program import Buffer, VecMode
from terntable.models.golden import float32, lanes
from tests.hw.bench.streams import SEED, TRAFFIC, pack_array, start, unpack_array
from tests.hw.float_operands import CORNERS
from tests.hw.port_models import Recorder, beats_of, serve
from tests.hw.test_vector import SETS, units

UNITS = units()
COLUMNS = 256
WATCHED = ("write_valid", "destination", "write_column", "write_float", "write_integer", "done", "busy", "command__ready",
           "invalid", "amax", "sum", "wait_word", "wait_partial")


class Feed:
    """A stream's source that goes on from one command to the next; `taken` counts the words."""

    def __init__(self, dut, name, port, traffic):
        self.edge = RisingEdge(getattr(dut, f"{name}_clk"))
        self.pins = [getattr(dut, f"{name}__{port}__{part}") for part in ("valid", "ready", "payload")]
        self.offers = TRAFFIC[traffic][0](random.Random(f"{SEED}{port}"))
        self.words, self.taken = deque(), 0
        cocotb.start_soon(self.run())

    async def run(self):
        valid, ready, payload = self.pins
        offering = False
        while True:
            offering = bool(self.words) and (offering or bool(next(self.offers)))
            valid.value = int(offering)
            if offering:
                payload.value = self.words[0]
            await ReadOnly()
            moved = offering and int(ready.value)
            await self.edge
            if moved:
                self.words.popleft()
                self.taken += 1
                offering = False


class Bench:
    """One instance between buffers, each a matrix of (rows, columns)."""

    def __init__(self, dut, name, traffic):
        self.dut, self.name, self.traffic, self.unit = dut, name, traffic, UNITS[name]
        self.rows, self.lanes = self.unit.rows, self.unit.lanes
        self.rng = np.random.default_rng([SEED, *map(ord, name)])
        self.weights, self.partial = (Feed(dut, name, port, traffic) for port in ("weights", "partial"))
        self.amax = np.zeros(self.rows, np.uint32)
        self.spare = np.zeros((self.rows, 0), np.int32)    # sums of the word that a command left unfinished
        self.buffers = {port: self.floats((self.rows, COLUMNS)) for port in ("x", "y", "rope")}
        for port in self.buffers:
            cocotb.start_soon(serve(dut, name, f"{port}_address", port, lambda at, port=port: self.word(port, at), "read_enable"))

    def pin(self, port):
        return getattr(self.dut, f"{self.name}__{port}")

    def floats(self, shape, corners=False):
        bits = float32.to_bits((self.rng.normal(size=shape) * np.exp(2 * self.rng.normal(size=shape))).astype(np.float32))
        if corners:
            patterns = self.rng.permutation(list(CORNERS.values()))[:bits.size // 2]
            bits.flat[self.rng.permutation(bits.size)[:len(patterns)]] = patterns
        return float32.from_bits(bits)

    def word(self, port, address):
        part = self.buffers[port][:, address * self.lanes:(address + 1) * self.lanes]
        return pack_array(np.ascontiguousarray(part.T).view(np.uint32), 32) if part.size else 0

    def sums(self, columns):
        """The next `columns` sums, of which what is missing is put into the stream, a whole number of words."""
        bits, outputs = self.unit.sum_bits, self.unit.outputs
        missing = max(0, columns - self.spare.shape[1])
        fresh = self.rng.integers(-(1 << bits - 1), 1 << bits - 1, (self.rows, -(-missing // outputs) * outputs)).astype(np.int32)
        fresh >>= self.rng.integers(0, bits, fresh.shape)
        if fresh.size:
            fresh.flat[:4] = [-(1 << bits - 1), (1 << bits - 1) - 1, 0, -1][:fresh.size]
        for first in range(0, fresh.shape[1], outputs):
            self.partial.words.append(pack_array(np.ascontiguousarray(fresh[:, first:first + outputs].T), bits))
        both = np.concatenate([self.spare, fresh], axis=1)
        self.spare = both[:, columns:]
        return both[:, :columns]

    def expected(self, mode, main, columns, bits):
        """What leaves, as floats and as integers, the registers' new values, and whether any number is INVALID."""
        length = columns.stop - columns.start
        s, factor, factor2 = self.scalars.values()
        if mode == VecMode.NORM:
            gamma = self.floats(length, self.corners)
            self.weights.words.extend(beats_of(gamma.tobytes(), self.unit.word_bytes))
            y, self.amax, self.sum = lanes.norm(main, gamma)
            return y, None, float32.is_invalid(y).any() or float32.is_invalid(self.sum).any()
        if mode == VecMode.QUANT:
            invalid = float32.is_invalid(float32.mul(main, s[:, None]))
            return None, lanes.quant(np.where(invalid, np.float32(0), main), s, bits), invalid.any()
        if mode == VecMode.CONVERT:
            y, self.amax = lanes.convert(main)
        elif mode == VecMode.ROPE:
            pairs = self.buffers["rope"][:, :length]
            y, self.amax = lanes.rope(main, pairs[:, 0::2], pairs[:, 1::2])
        elif mode == VecMode.ADD:
            y = lanes.add_scaled(self.buffers["x"][:, columns], main, factor)
        else:
            act = "relu2" if mode == VecMode.GLU_RELU2 else "silu"
            y = lanes.glu(main[:, 0::2], main[:, 1::2], factor, factor2, act)
        return y, None, float32.is_invalid(y).any()

    async def run(self, mode, source, destination, length, bits=8, corners=False):
        """One command: its writes, its registers and the cycle of `done`."""
        what = f"{mode!r} of {length} columns of {source!r}, {bits} bits, {'corners' if corners else 'numbers'}"
        self.corners = corners
        steps = (COLUMNS - length) // self.lanes
        offset, offset2 = (int(self.lanes * self.rng.integers(steps + 1)) for _ in range(2))
        self.scalars = {port: self.floats(self.rows, corners and self.rng.random() < 0.3) for port in ("s", "factor", "factor2")}
        if mode == VecMode.QUANT:
            self.scalars["s"] = self.scalars["s"] * np.float32(1 << self.rng.integers(bits))
        for port in ("x", "y", "rope"):
            self.buffers[port] = self.floats((self.rows, COLUMNS), corners)
        for port, values in self.scalars.items():
            self.pin(port).value = pack_array(float32.to_bits(values), 32)
        if mode in FROM_SUMS:
            main = self.sums(2 * length if mode in GATED else length)
        else:
            main = self.buffers["x" if source == Buffer.X else "y"][:, offset:offset + length]
        y, q, invalid = self.expected(mode, main, slice(offset2, offset2 + length), bits)

        recorder = Recorder(self.dut, self.name, WATCHED)
        edge = RisingEdge(getattr(self.dut, f"{self.name}_clk"))
        fields = ((mode, 4), (source, 3), (destination, 3), (length, 16), (offset, 16), (offset2, 16), (bits == 16, 1))
        word = at = 0
        for value, width in fields:
            word |= int(value) << at
            at += width
        self.pin("command__payload").value = word
        self.pin("command__valid").value = 1
        await edge
        self.pin("command__valid").value = 0
        for _ in range(60 * length + 400):
            await edge
            if recorder["done"] and recorder["done"][-1]:
                break
        for _ in range(3):
            await edge
        recorder.stop()

        done = recorder.cycles("done")
        assert len(done) == 1, f"{what}: done in {done}"
        done = done[0]
        waits = len(recorder.cycles("wait_word")) + len(recorder.cycles("wait_partial"))
        assert done == self.unit.latency(mode, length) + waits, what
        assert not recorder.cycles("wait_partial" if mode == VecMode.NORM else "wait_word"), what
        assert recorder.cycles("busy") == list(range(1, done + 1)), what
        assert [now for now, ready in enumerate(recorder["command__ready"]) if not ready] == recorder.cycles("busy"), what
        written = recorder.cycles("write_valid")
        assert [recorder["write_column"][now] for now in written] == list(range(offset2, offset2 + length, self.lanes)), what
        assert {recorder["destination"][now] for now in written} == {destination} and written[-1] < done, what
        items = self.rows * self.lanes
        port, width, wanted = ("write_integer", 16, q) if y is None else ("write_float", 32, float32.to_bits(y))
        got = np.stack([unpack_array(recorder[port][now], width, items, signed=y is None) for now in written])
        np.testing.assert_array_equal(got.reshape(-1, self.rows).T, wanted, err_msg=what)
        assert recorder["invalid"][done] == invalid, what
        assert recorder["amax"][done] == pack_array(float32.to_bits(self.amax), 32), what
        if mode == VecMode.NORM:
            assert recorder["sum"][done] == pack_array(float32.to_bits(self.sum), 32), what
        assert not self.weights.words and len(self.partial.words) == -(-self.spare.shape[1] // self.unit.outputs), what


CASES = [
    (VecMode.NORM, Buffer.X, Buffer.Y, 8), (VecMode.NORM, Buffer.Y, Buffer.Y, 8), (VecMode.QUANT, Buffer.Y, Buffer.ACT, 8),
    (VecMode.QUANT, Buffer.X, Buffer.HEAD, 16), (VecMode.QUANT, Buffer.Y, Buffer.KEY, 8),
    (VecMode.CONVERT, Buffer.PARTIAL, Buffer.Y, 8), (VecMode.ROPE, Buffer.PARTIAL, Buffer.Y, 8),
    (VecMode.ADD, Buffer.PARTIAL, Buffer.X, 8), (VecMode.GLU_RELU2, Buffer.PARTIAL, Buffer.Y, 8),
    (VecMode.GLU_SILU, Buffer.PARTIAL, Buffer.Y, 8),
]


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def matches(dut, name, traffic):
    """Every mode after every other sort of mode, with corners first."""
    await start(dut, name)
    bench = Bench(dut, name, traffic)
    for corners in (True, False):
        for case in bench.rng.permutation(len(CASES)):
            mode, source, destination, bits = CASES[case]
            length = int(bench.lanes * bench.rng.integers(1, 24))
            await bench.run(mode, source, destination, length, bits, corners)


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=["flat out", "bubbles"])
async def sums_of_any_length(dut, name, traffic):
    """From one word to three turns of the partial sums and more; nothing is left over from the sum before."""
    await start(dut, name)
    bench = Bench(dut, name, traffic)
    for length in (bench.lanes, 100, 2 * bench.lanes, 64, 32, 32 - bench.lanes, 32 + bench.lanes):
        await bench.run(VecMode.NORM, Buffer.X, Buffer.Y, length)
