"""Runs in the simulator; see test_tlmm.py."""

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from terntable.models.golden.tlmm import cycles, ternary_matmul
from terntable.quant.beats import BeatGeometry, pack_matrix
from tests.hw.bench.streams import SEED, TRAFFIC, Result, exchange_all, pack_array, start, unpack_array
from tests.hw.bench.timing import check_flow
from tests.hw.port_models import Recorder, serve
from tests.hw.test_tlmm import MANY, SETS, Product, geometry_of, products
from tests.hw.tlmm_timing import FLAGS, EngineTiming


async def activations(dut, name: str, made: list[Product]) -> None:
    """The activation buffer: each accepted command's columns, and something else past their end."""
    lanes, edge = SETS[name]["lanes"], RisingEdge(getattr(dut, f"{name}_clk"))
    memories = []
    for product in made:
        rows, columns = product.act.shape
        filled = np.full((-(-columns // lanes) * lanes, rows), 0x55, np.int8)
        filled[:columns] = product.act.T
        memories.append([pack_array(word, 8) for word in filled.reshape(-1, lanes, rows)])
    pins = {port: getattr(dut, f"{name}__{port}") for port in ("command__valid", "command__ready", "act_enable", "act_address")}
    data, now = getattr(dut, f"{name}__act_data"), -1
    while True:
        await ReadOnly()
        seen = {port: int(pin.value) for port, pin in pins.items()}
        now += seen["command__valid"] and seen["command__ready"]
        word = memories[now][seen["act_address"]] if seen["act_enable"] else None
        await edge
        if word is not None:
            data.value = word


def commands(made: list[Product]) -> list[int]:
    return [product.codes.shape[1] | product.codes.shape[0] << 16 for product in made]


def words_of(made: list[Product]) -> list[int]:
    return [pack_array(word, 8) for product in made for word in product.words]


def check_sums(name: str, made: list[Product], payloads: list[int]) -> None:
    rows, outputs = SETS[name]["rows"], SETS[name]["outputs"]
    width = (SETS[name]["max_inputs"] * 128).bit_length() + 1
    words = [unpack_array(payload, width, outputs * rows, signed=True) for payload in payloads]
    got = np.concatenate(words).reshape(-1, rows).T
    expected = np.concatenate([ternary_matmul(product.act, product.codes) for product in made], axis=1)
    assert got.shape == expected.shape
    assert (got == expected).all(), f"wrong sums of outputs {np.flatnonzero((got != expected).any(axis=0))}"


def check_cycles(name: str, result: Result, seen: Recorder, made: list[Product]) -> None:
    """Fail unless every handshake, read and flag is in the cycle that the neighbours' doings call for."""
    model = EngineTiming(geometry_of(name), SETS[name]["lanes"], SETS[name].get("queue_words", 16))
    accepted = dict(zip(result["command"].cycles, made, strict=True))
    length = len(result.o.ready)
    expected: dict[str, list[int]] = {flag: [] for flag in FLAGS}
    for now in range(length):
        flags = model.show(bool(result["weights"].valid[now]))
        for flag, value in flags.items():
            expected[flag].append(value)
        address = model.advance(bool(result.o.ready[now]))
        if flags["act_enable"]:
            assert seen["act_address"][now] == address, f"cycle {now}"
        if now in accepted:
            model.start(*accepted[now].codes.shape[::-1])
    for flag, flow in expected.items():
        check_flow(flag, seen[flag][:length], flow)


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def matches(dut, name, traffic):
    """Commands one after the other; sums of one may still be waiting when the next begins."""
    await start(dut, name)
    made, outputs = products(name, SEED), SETS[name]["outputs"]
    cocotb.start_soon(activations(dut, name, made))
    seen = Recorder(dut, name, (*FLAGS, "act_address", "illegal"))
    sources = {"command": commands(made), "weights": words_of(made)}
    count = sum(len(product.codes) for product in made) // outputs
    result = await exchange_all(dut, name, sources, {"o": count}, traffic=traffic, limit=60, linger=30)
    seen.stop()
    check_sums(name, made, result.o.payloads)
    check_cycles(name, result, seen, made)
    assert not any(seen["illegal"])
    if traffic == "flat out":
        begun = result["command"].cycles
        for product, this, after in zip(made, begun, begun[1:], strict=False):
            assert after - this == cycles(*product.codes.shape[::-1], geometry_of(name), SETS[name]["lanes"])


@cocotb.test()
@cocotb.parametrize(name=list(SETS), cells=[1, 2, 3])
async def late_words_meet_in_time(dut, name, cells):
    """When the tables of two small tiles wait for words, cells follow one another as fast as the sums allow."""
    await start(dut, name)
    geometry, rng = geometry_of(name), np.random.default_rng(SEED)
    shape = cells * geometry.outputs, min(4 * geometry.tile_inputs, SETS[name]["max_inputs"])
    codes = rng.integers(-1, 2, shape).astype(np.int8)
    act = rng.integers(-128, 128, (SETS[name]["rows"], shape[1])).astype(np.int8)
    product = Product(act, codes, pack_matrix(codes, geometry)[0])
    cocotb.start_soon(activations(dut, name, [product]))
    seen = Recorder(dut, name, (*FLAGS, "act_address"))
    first = await exchange_all(dut, name, {"command": commands([product])}, {}, traffic="flat out", limit=40, linger=120)
    result = await exchange_all(dut, name, {"weights": words_of([product])}, {"o": cells}, traffic="flat out", limit=60, linger=40)
    seen.stop()
    check_sums(name, [product], result.o.payloads)
    quiet = [0] * len(first["command"].ready)
    for flow in (result["weights"], result.o):
        flow.valid[:0], flow.ready[:0] = quiet, quiet
    result.flows["command"] = first["command"]
    check_cycles(name, result, seen, [product])


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def full_queue_stops_the_engine(dut, name):
    """Nothing is lost, no word is taken, and the reason is told, while nobody takes the sums."""
    await start(dut, name)
    geometry, rng = geometry_of(name), np.random.default_rng(SEED)
    codes = rng.integers(-1, 2, (SETS[name]["max_outputs"], geometry.tile_inputs)).astype(np.int8)
    act = rng.integers(-128, 128, (SETS[name]["rows"], geometry.tile_inputs)).astype(np.int8)
    product = Product(act, codes, pack_matrix(codes, geometry)[0])
    cocotb.start_soon(activations(dut, name, [product]))
    seen = Recorder(dut, name, FLAGS)
    task = cocotb.start_soon(exchange_all(dut, name, {"command": commands([product]), "weights": words_of([product])}, {},
                                          traffic="flat out", limit=1000))
    edge = RisingEdge(getattr(dut, f"{name}_clk"))
    for _ in range(700):
        await edge
    assert all(seen["wait_output"][-100:]) and not any(seen["weights__ready"][-100:])
    result = await exchange_all(dut, name, {}, {"o": len(product.codes) // geometry.outputs}, traffic="flat out", limit=300)
    await task
    check_sums(name, [product], result.o.payloads)


@cocotb.test()
@cocotb.parametrize(name=list(SETS))
async def illegal_byte_is_told(dut, name):
    """By the end of `busy`, in any word, and until the next command."""
    await start(dut, name)
    made = [products(name, SEED)[place] for place in (3, 3, 3, 6, 3, 1, 1)]
    right = [product.words.copy() for product in made]
    for product, words, (byte, row, column) in zip(made, right, (
            (243, -1, -1), (242, 0, 0), (255, 0, 0), (243, 1, -1), (242, -1, -1), (250, -1, 0), (242, -1, 0)), strict=True):
        product.words = words.copy()
        product.words[row, column] = byte
    cocotb.start_soon(activations(dut, name, made))
    edge = RisingEdge(getattr(dut, f"{name}_clk"))
    getattr(dut, f"{name}__o__ready").value = 1
    for product in made:
        seen = Recorder(dut, name, ("busy", "illegal"))
        await exchange_all(dut, name, {"command": commands([product]), "weights": words_of([product])}, {}, traffic="flat out",
                           limit=200, linger=40)
        seen.stop()
        await ReadOnly()
        ended = seen.cycles("busy")[-1] + 1
        wrong = int(product.words.max() > 242)
        assert seen["busy"][ended] == 0 and seen["illegal"][ended:] == [wrong] * (len(seen["illegal"]) - ended)
        assert seen["illegal"][1] == 0
        await edge


@cocotb.test()
async def more_outputs_than_sixteen_bits_count(dut):
    """A vocabulary's outputs, of one tile."""
    name, outputs = "many", MANY["outputs"]
    await start(dut, name)
    rng = np.random.default_rng(SEED)
    codes = rng.integers(-1, 2, (MANY["max_outputs"] // outputs * outputs, 3)).astype(np.int8)
    act = rng.integers(-128, 128, (1, 3)).astype(np.int8)
    geometry = BeatGeometry(word_bytes=MANY["word_bytes"], outputs=outputs, block_outputs=MANY["block_outputs"])
    words = [pack_array(word, 8) for word in pack_matrix(codes, geometry)[0]]
    cocotb.start_soon(serve(dut, name, "act_address", "act_data", lambda at: int(act[0, at]) & 255 if at < 3 else 0, "act_enable"))
    result = await exchange_all(dut, name, {"command": [3 | len(codes) << 16], "weights": words}, {"o": len(codes) // outputs},
                                traffic="flat out", limit=30)
    sums = [unpack_array(payload, (3 * 128).bit_length() + 1, outputs, signed=True) for payload in result.o.payloads]
    assert (np.concatenate(sums) == ternary_matmul(act, codes)[0]).all()
