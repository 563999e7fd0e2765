"""Runs in the simulator; see test_result_writer.py."""

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from terntable.hw.spec.program import RESULT
from tests.hw.bench.streams import SEED, TRAFFIC, exchange_all, start
from tests.hw.port_models import Recorder, acknowledge, pulse, writes_of
from tests.hw.test_result_writer import SETS

#: Cycles for the acknowledgement that follows the last beat.
LINGER = 12


async def lists(dut, name: str, table: list[np.ndarray]) -> None:
    """The lists' read port: the entry of a place shows in the next cycle; past the last one there is rubbish."""
    edge = RisingEdge(getattr(dut, f"{name}_clk"))
    pins = {port: getattr(dut, f"{name}__{port}") for port in ("row", "place", "best_index", "best_logit")}
    while True:
        await ReadOnly()
        row, place = int(pins["row"].value), int(pins["place"].value)
        rows, k = table[0].shape
        entry = table[0][row, place] if row < rows and place < k else None
        await edge
        pins["best_index"].value = 0xDEADBEEF if entry is None else int(entry["index"])
        pins["best_logit"].value = 0x12345678 if entry is None else int(entry["logit"].view(np.uint32))


@cocotb.test()
@cocotb.parametrize(name=list(SETS), traffic=list(TRAFFIC))
async def matches(dut, name, traffic):
    """One write of all rows' candidates, padded to whole beats; again at once after `done`."""
    await start(dut, name)
    rows, k, size = (SETS[name][key] for key in ("rows", "k", "beat_bytes"))
    rng = np.random.default_rng([SEED, *map(ord, name)])
    table = [np.zeros((rows, k), RESULT)]
    cocotb.start_soon(acknowledge(dut, name, "request"))
    cocotb.start_soon(lists(dut, name, table))
    stride = -(-8 * k // size) * size
    for count in (rows, 1, (rows + 1) // 2):
        fresh = np.frombuffer(rng.bytes(8 * rows * k), RESULT).reshape(rows, k).copy()
        fresh["index"][0, -1] = 0xFFFFFFFF
        table[0] = fresh
        base = int(rng.integers(1 << 40)) << 6
        getattr(dut, f"{name}__base").value, getattr(dut, f"{name}__count").value = base, count
        raw = b"".join(fresh[row].tobytes() + bytes(stride - 8 * k) for row in range(count))
        await pulse(dut, name, "start")
        recorder = Recorder(dut, name, ["done", "write_idle"])
        result = await exchange_all(dut, name, {}, {"request": 1, "o": len(raw) // size}, traffic=traffic, linger=LINGER)
        recorder.stop()
        assert writes_of(result["request"].payloads, result.o.payloads, size) == {base: raw}
        (done,) = recorder.cycles("done")
        assert done == recorder["write_idle"].index(1, result.o.cycles[-1] + 1)
        if traffic == "flat out":
            first, step = result["request"].cycles[0], size // 8 + 2
            assert result.o.cycles == [first + step * (n + 1) for n in range(len(raw) // size)]
        await RisingEdge(getattr(dut, f"{name}_clk"))
