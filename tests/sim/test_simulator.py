"""The simulator with a toy core: data, time, faults, and everything it must complain about."""

import numpy as np
import pytest

from terntable.hw.spec.program import Fault
from terntable.hw.spec.registers import CONTROL_START, IDENT, STATUS_BUSY, STATUS_DONE, STATUS_ERROR
from terntable.sim.errors import SimulatorError
from terntable.sim.memory_timing import named_timing
from terntable.sim.simulator import DEFAULT_BASE, MemoryTiming, Port, Response, Simulator
from tests.sim.broken import BREACHES

SIZE = 1 << 20
A, B, OUT = 0x01000, 0x48000, 0x90000      # regions: first port, last port, result

TIMINGS = {
    "ideal": MemoryTiming(read_latency=1, write_latency=1),
    "usual": MemoryTiming(),
    "slow": MemoryTiming(bandwidth=0.3, read_latency=100),
    "stalls": MemoryTiming(stall=0.4, seed=7, read_latency=3, write_latency=2),
    "flat": MemoryTiming(model="flat", flat=1.3),
    "ddr": MemoryTiming(model="ddr"),
    "ddr stalls": MemoryTiming(model="ddr", stall=0.3, seed=3),
}


def last(config) -> Port:
    """The last port's reads."""
    return Port(1 << config.ports - 1)


def load(simulator: Simulator, beats: int, config, shift: int = 0) -> np.ndarray:
    """Fill memory, set the registers; what memory must hold in the end."""
    simulator.memory[:] = np.random.default_rng(beats).integers(0, 256, SIZE, dtype=np.uint8)
    want, size = simulator.memory.copy(), beats * config.port_bytes
    a, b, out = (
        start + place * config.port_bytes
        for start, place in zip((A, B, OUT), (shift, 2 * shift, 3 * shift), strict=True)
    )
    want[out:out + size] = want[a:a + size] ^ (want[b:b + size] if config.ports > 1 else 0)
    for name, start in (("stream_base", a), ("embed_base", b), ("result_base", out)):
        simulator.write(name, simulator.base + start)
    simulator.write("stream_words", beats)
    return want


@pytest.mark.parametrize("timing", TIMINGS)
@pytest.mark.parametrize(("beats", "shift"), [(1, 0), (7, 5), (64, 0), (65, 63), (2000, 9)])
def test_data(toy, timing, beats, shift):
    config, library = toy
    with Simulator(library, ddr_bytes=SIZE, timing=TIMINGS[timing]) as simulator:
        for _ in range(2):
            want = load(simulator, beats, config, shift)
            simulator.start_and_wait(50_000)
            assert simulator.read("status") == STATUS_DONE
            assert np.array_equal(simulator.memory, want)
        counters, size = simulator.counters, 2 * beats * config.port_bytes
        read = [0] * config.ports
        read[-1] = read[0] = size
        assert counters[1:] == (tuple(read), size)
        assert simulator.read("stream_bytes") == size // 2
        assert simulator.bus_idle


def test_time(toy):
    """Beats pass at the bandwidth of the memory, latencies count once, and equal runs take equal time."""
    config, library = toy

    def cycles(beats: int, **timing) -> int:
        with Simulator(library, ddr_bytes=SIZE, timing=MemoryTiming(**timing)) as simulator:
            load(simulator, beats, config)
            simulator.start_and_wait(100_000)
            return simulator.read("cycles")

    base = cycles(2000, read_latency=1, write_latency=1)
    assert 2000 <= base < 2012
    assert cycles(2000, read_latency=21, write_latency=1) == base + 20
    assert cycles(2000, read_latency=1, write_latency=31) == base + 30
    assert cycles(2000, read_latency=1, write_latency=1, bandwidth=0.25) == pytest.approx(8000, rel=0.02)
    stalled = cycles(2000, stall=0.3, seed=1)
    assert stalled == cycles(2000, stall=0.3, seed=1) != cycles(2000, stall=0.3, seed=2)


def test_flat(toy):
    """Reads of all ports and writes share the bandwidth."""
    config, library = toy
    with Simulator(library, ddr_bytes=SIZE, timing=named_timing("flat-2.5")) as simulator:
        load(simulator, 4000, config)
        simulator.start_and_wait(100_000)
        moved = (min(config.ports, 2) + 1) * 4000 * config.port_bytes
        assert simulator.read("cycles") == pytest.approx(max(moved / 10, 4000), rel=0.03)


def test_ddr(toy):
    """Ports that read at their full rate do so on the DDR model, but for its latency and refreshes."""
    config, library = toy
    with Simulator(library, ddr_bytes=SIZE, timing=named_timing("ddr")) as simulator:
        load(simulator, 4000, config)
        simulator.start_and_wait(100_000)
        cycles = simulator.read("cycles")
        # Three of the widest ports together are 12 GB/s, a third of them written, so the bus turns round all the time.
        assert 4000 + 40 < cycles < 4000 * (1.08 if config.port_bytes < 16 else 1.3)
        load(simulator, 4000, config)
        simulator.start_and_wait(100_000)
        assert simulator.read("cycles") == pytest.approx(cycles, rel=0.02)


def test_threads(threaded):
    """Threads change nothing but speed."""
    config, libraries = threaded
    results = []
    for library in libraries:
        with Simulator(library, ddr_bytes=SIZE, timing=TIMINGS["ddr stalls"]) as simulator:
            want = load(simulator, 500, config)
            simulator.start_and_wait(50_000)
            assert np.array_equal(simulator.memory, want)
            results.append((simulator.counters, simulator.read("cycles")))
    assert results[0] == results[1]


def test_registers(toy):
    config, library = toy
    with Simulator(library, ddr_bytes=SIZE) as simulator:
        assert simulator.read("ident") == IDENT
        simulator.write("kv_base", 0x0123456789ABCDEF)
        assert simulator.read("kv_base") == 0x0123456789ABCDEF
        simulator.reset()
        assert simulator.read("kv_base") == 0
        with pytest.raises(SimulatorError, match="offset 0xffc was answered with an error"):
            simulator.read_word(0xFFC)
        with pytest.raises(SimulatorError, match="Writing register offset 0xffc was answered"):
            simulator.write_word(0xFFC, 1)
        with pytest.raises(ValueError, match="rows has 32 bits, 0x100000000 does not fit"):
            simulator.write("rows", 1 << 32)
        with pytest.raises(KeyError):
            simulator.read("nothing")


@pytest.mark.parametrize(("fault", "cause"), [
    (dict(first=A + 4096, last=A + 4096, ports=Port.READ0), Fault.READ_ERROR),
    (dict(first=B, last=B, ports=None, response=Response.DECERR), Fault.READ_ERROR),
    (dict(first=OUT + 999, last=OUT + 999, ports=Port.WRITE), Fault.WRITE_ERROR),
])
def test_fault(toy, fault, cause):
    config, library = toy
    ports = fault["ports"] or last(config)
    if fault["ports"] is None and config.ports == 1:
        pytest.skip("one port reads one region")
    with Simulator(library, ddr_bytes=SIZE) as simulator:
        load(simulator, 1000, config)
        place = {name: simulator.base + fault[name] for name in ("first", "last")}
        simulator.fault(**{**fault, **place, "ports": Port.ALL & ~ports})
        simulator.start_and_wait(10_000)                    # each region is for one port only
        assert simulator.read("status") == STATUS_DONE
        simulator.clear_faults()
        simulator.fault(**{**fault, **place, "ports": ports})
        simulator.start_and_wait(10_000)
        assert simulator.read("status") & STATUS_ERROR
        assert simulator.read("fault_cause") == cause
        simulator.run(2000)
        assert simulator.bus_idle
        simulator.clear_faults()
        simulator.reset()
        want = load(simulator, 1000, config)
        simulator.start_and_wait(10_000)
        assert np.array_equal(simulator.memory, want)


def test_address_outside_memory(toy):
    config, library = toy
    with Simulator(library, ddr_bytes=SIZE) as simulator:
        load(simulator, 10, config)
        simulator.write("stream_base", DEFAULT_BASE + SIZE - 5 * config.port_bytes)
        simulator.start_and_wait(1000)
        assert simulator.read("fault_cause") == Fault.READ_ERROR


@pytest.mark.parametrize("model", ["fixed", "ddr"])
@pytest.mark.parametrize("write", [False, True])
def test_mute(toy, model, write):
    """A mute port ends at a deadline or at the design's watchdog; all goes on when it speaks again."""
    config, library = toy
    port = Port.WRITE if write else last(config)
    with Simulator(library, ddr_bytes=SIZE, timing=named_timing(model)) as simulator:
        want = load(simulator, 1000, config)
        simulator.write("control", CONTROL_START)
        simulator.run(200)
        simulator.mute(port)
        with pytest.raises(SimulatorError, match="did not finish within 5000 cycles"):
            simulator.wait(5000)
        assert simulator.read("status") == STATUS_BUSY
        assert not simulator.bus_idle
        with pytest.raises(SimulatorError, match="bursts are on their way"):
            simulator.reset()
        simulator.mute(Port(0))
        simulator.write("interrupt_enable", 1)
        simulator.wait(5000)
        assert simulator.interrupt
        assert np.array_equal(simulator.memory, want)

        simulator.write("watchdog", 3000)
        simulator.mute(port)
        simulator.start_and_wait(5000)
        assert simulator.read("fault_cause") == Fault.WATCHDOG


@pytest.mark.parametrize("breach", range(len(BREACHES)))
def test_breach(broken, breach):
    config, library = broken
    with Simulator(library, ddr_bytes=SIZE, timing=MemoryTiming(stall=0.5)) as simulator:
        simulator.write("stream_base", simulator.base)
        simulator.write("stream_words", breach)
        with pytest.raises(SimulatorError, match=BREACHES[breach]):
            simulator.start_and_wait(500)


def test_trace(traced, toy, tmp_path):
    config, library = traced
    path, second = tmp_path / "a.vcd", tmp_path / "b.vcd"
    with Simulator(library, ddr_bytes=SIZE, trace=path) as simulator:
        want = load(simulator, 20, config)
        simulator.start_and_wait(1000)
        assert np.array_equal(simulator.memory, want)
        with pytest.raises(SimulatorError, match="cannot be written"):
            simulator.trace(tmp_path / "no folder" / "c.vcd")
        simulator.trace(second)
        simulator.run(10)
    assert "m_axi_gmem0_araddr" in path.read_text()
    assert second.read_text().count("\n#") == 20
    with pytest.raises(SimulatorError, match="trace=True"):
        Simulator(toy[1], ddr_bytes=SIZE, trace=path)


def test_memory_outlives_simulator(toy):
    simulator = Simulator(toy[1], ddr_bytes=SIZE)
    memory = simulator.memory
    simulator.close()
    simulator.close()
    memory[:] = 1
    with pytest.raises(SimulatorError, match="closed"):
        simulator.run(1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (dict(read_latency=0), "read_latency must be"),
        (dict(write_latency=0), "write_latency must be"),
        (dict(bandwidth=0.0), "bandwidth must be .* not 0.0"),
        (dict(bandwidth=1.5), "bandwidth must be .* not 1.5"),
        (dict(model="sdram"), "model must be one of fixed, flat, ddr, not 'sdram'"),
        (dict(flat=0.0), "flat must be 0.001 to 1000 GB/s, not 0.0"),
        (dict(stall=1.0), "stall must be a probability"),
        (dict(seed=-1), "seed must be"),
    ],
)
def test_timing_checked(wrong, message):
    with pytest.raises(ValueError, match=message):
        MemoryTiming(**wrong)


def test_named_timings():
    assert named_timing("fixed") == MemoryTiming()
    assert named_timing("ddr") == named_timing("ddr-2133") == MemoryTiming(model="ddr")
    assert named_timing("ddr-2400").ddr.peak == pytest.approx(19.2e9)
    assert named_timing("flat-13.3").bytes_per_cycle(16) == pytest.approx(53.2)
    for name in ("fast", "ddr-3200", "fixed-1"):
        with pytest.raises(ValueError, match=f"Unknown memory '{name}'"):
            named_timing(name)
    with pytest.raises(ValueError, match="flat-13.3"):
        named_timing("flat-much")


@pytest.mark.parametrize("timing", ["usual", "stalls", "ddr stalls", "flat"])
def test_checkpoint(toy, timing, tmp_path):
    """A run that goes on from a checkpoint ends as one that was never cut: same memory, same cycle."""
    config, library = toy
    path, started = tmp_path / "half", dict(ddr_bytes=SIZE, timing=TIMINGS[timing])
    with Simulator(library, **started) as simulator:
        want = load(simulator, 700, config)
        simulator.write("interrupt_enable", 1)
        simulator.write("control", CONTROL_START)
        simulator.run(411)
        simulator.save(path)
        simulator.wait(50_000)
        ended = simulator.counters, simulator.read("cycles"), simulator.read("stream_bytes")
        assert np.array_equal(simulator.memory, want)
    with Simulator(library, **started) as other:
        other.write("rows", 5)
        other.memory[:] = 3
        other.restore(path)
        assert not other.bus_idle
        other.wait(50_000)
        assert (other.counters, other.read("cycles"), other.read("stream_bytes")) == ended
        assert np.array_equal(other.memory, want)
    assert path.stat().st_size < SIZE + 700_000
    assert [p.name for p in tmp_path.iterdir()] == ["half"]


def test_checkpoint_refused(toy, tmp_path):
    config, library = toy
    path = tmp_path / "a"
    with Simulator(library, ddr_bytes=SIZE) as simulator:
        simulator.save(path)
        with pytest.raises(SimulatorError, match="cannot be written"):
            simulator.save(tmp_path / "no folder" / "b")
        with pytest.raises(SimulatorError, match="cannot be read"):
            simulator.restore(tmp_path / "c")
        (tmp_path / "d").write_bytes(path.read_bytes()[:-1])
        with pytest.raises(SimulatorError, match="is no checkpoint of this accelerator with this memory"):
            simulator.restore(tmp_path / "d")
    for different in (dict(ddr_bytes=2 * SIZE), dict(ddr_bytes=SIZE, timing=TIMINGS["ddr"])):
        with Simulator(library, **different) as simulator, pytest.raises(SimulatorError, match="is no checkpoint"):
            simulator.restore(path)


def test_memory_size_checked(toy):
    with pytest.raises(ValueError, match="does not fit 64-bit addresses"):
        Simulator(toy[1], ddr_bytes=SIZE, base=(1 << 64) - 1)
