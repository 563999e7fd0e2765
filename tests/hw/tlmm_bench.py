"""Runs in the simulator; see test_tlmm.py."""

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from terntable.models.golden.lookup_array import latency
from terntable.models.golden.table_builder import BUILD_CYCLES
from terntable.models.golden.tlmm import cycles, ternary_matmul
from terntable.quant.beats import BeatGeometry
from tests.hw.bench.streams import SEED, TRAFFIC, Result, exchange_all, pack_array, start, unpack_array
from tests.hw.bench.timing import check_flow
from tests.hw.test_table_builder import Timing
from tests.hw.test_tlmm import SETS, Product, products

TURNAROUND = 3

#: ``busy`` and ``done`` of each cycle.
States = list[int]
BUSY, DONE = 1, 2


def geometry_of(name: str) -> BeatGeometry:
    return BeatGeometry(beat_bytes=SETS[name]["beat_bytes"], outputs=SETS[name]["lanes"])


async def watch(dut, name: str, seen: States) -> None:
    """Record every cycle from now on."""
    while True:
        await ReadOnly()
        busy, done = getattr(dut, f"{name}__busy").value, getattr(dut, f"{name}__done").value
        seen.append(BUSY * int(busy) + DONE * int(done))
        await RisingEdge(getattr(dut, f"{name}_clk"))


async def multiply(dut, name: str, product: Product, traffic: str) -> tuple[Result, States]:
    lanes = SETS[name]["lanes"]
    outputs, inputs = product.codes.shape
    sources = {
        "command": [inputs | outputs << 16],
        "act": [pack_array(word, 8) for word in product.act.T.reshape(inputs // lanes, lanes, -1)],
        "weights": [pack_array(beat, 8) for beat in product.beats],
    }
    seen: States = []
    task = cocotb.start_soon(watch(dut, name, seen))
    result = await exchange_all(dut, name, sources, {}, traffic=traffic, limit=60, linger=15)
    task.cancel()
    return result, seen


async def read_sums(dut, name: str, outputs: int) -> np.ndarray:
    """Sums ``(rows, outputs)``, an address every cycle."""
    rows, lanes = SETS[name]["rows"], SETS[name]["lanes"]
    words = []
    for address in range(-(-outputs // lanes)):
        getattr(dut, f"{name}__sums_address").value = address
        await RisingEdge(getattr(dut, f"{name}_clk"))
        await ReadOnly()
        word = int(getattr(dut, f"{name}__sums_data").value)
        words.append(unpack_array(word, 32, lanes * rows, signed=True))
        await RisingEdge(getattr(dut, f"{name}_clk"))
    return np.concatenate(words).reshape(-1, rows)[:outputs].T


def check_cycles(result: Result, seen: States, geometry: BeatGeometry, inputs: int, outputs: int) -> None:
    """Fail unless every ready, ``busy`` and ``done`` is in the cycles that the accepted items call for."""
    started = result["command"].cycles[0]
    fed, beaten = set(result["act"].cycles), set(result["weights"].cycles)
    words, beats = geometry.inputs // geometry.outputs, geometry.row_groups(outputs)
    tiles = geometry.tiles(inputs)
    builder = Timing(words)
    sent, written, taken = 0, 0, 0    # words, entries, beats so far
    tile_start = -TURNAROUND
    done = None
    act, weights, state = [], [], []
    for now in range(len(seen)):
        state.append(BUSY * (now > started and (done is None or now < done)) + DONE * (now == done))
        feeding = now > started and sent < tiles * words
        padding = sent * geometry.outputs >= inputs
        act.append(int(feeding and not padding and builder.ready))
        # A bank is free again once the tile two before has met its last beat.
        free = written // BUILD_CYCLES < taken // beats + 2
        standing = taken < tiles * beats and written >= (taken // beats + 1) * BUILD_CYCLES
        weights.append(int(standing and (taken % beats != 0 or now >= tile_start + TURNAROUND)))

        word = feeding and builder.ready and (padding or now in fed)
        entry = builder.valid and free
        builder.advance(word, free)
        sent, written = sent + word, written + entry
        if now in beaten:
            tile_start = now if taken % beats == 0 else tile_start
            taken += 1
            done = now + latency(geometry.groups) + 3 if taken == tiles * beats else None
    length = len(result["act"].ready)
    check_flow("act.ready", result["act"].ready, act[:length])
    check_flow("weights.ready", result["weights"].ready, weights[:length])
    check_flow("busy and done", seen, state)


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def matches(dut, name, traffic):
    await start(dut, name)
    sizes, geometry = SETS[name], geometry_of(name)
    for product in products(sizes["rows"], sizes["lanes"], sizes["beat_bytes"], SEED):
        outputs, inputs = product.codes.shape
        result, seen = await multiply(dut, name, product, traffic)
        assert (await read_sums(dut, name, outputs) == ternary_matmul(product.act, product.codes)).all()
        assert int(getattr(dut, f"{name}__illegal").value) == 0
        check_cycles(result, seen, geometry, inputs, outputs)
        if traffic == "flat out":
            took = seen.index(DONE) - result["command"].cycles[0]
            assert took == cycles(inputs, outputs, geometry)


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def late_beats_meet_in_time(dut, name):
    """When two tiles of one beat wait for beats, they follow one another as fast as sums allow."""
    await start(dut, name)
    sizes, lanes = SETS[name], SETS[name]["lanes"]
    product = products(sizes["rows"], lanes, sizes["beat_bytes"], SEED)[2]
    outputs, inputs = product.codes.shape
    words = [pack_array(word, 8) for word in product.act.T.reshape(inputs // lanes, lanes, -1)]
    await exchange_all(dut, name, {"command": [inputs | outputs << 16], "act": words}, {},
                       traffic="flat out", linger=100)
    result = await exchange_all(dut, name, {"weights": [pack_array(beat, 8) for beat in product.beats]}, {},
                                traffic="flat out", limit=60, linger=15)
    assert result["weights"].cycles[:2] == [0, TURNAROUND]
    assert (await read_sums(dut, name, outputs) == ternary_matmul(product.act, product.codes)).all()


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def illegal_byte_is_told(dut, name):
    await start(dut, name)
    sizes = SETS[name]
    product = products(sizes["rows"], sizes["lanes"], sizes["beat_bytes"], SEED)[3]
    right = product.beats.copy()
    for byte, at in ((243, -1), (242, 0), (255, 0)):
        product.beats = right.copy()
        product.beats[at, at] = byte
        _, seen = await multiply(dut, name, product, "flat out")
        assert DONE in seen, "the product did not end"
        assert int(getattr(dut, f"{name}__illegal").value) == (byte >= 243)
