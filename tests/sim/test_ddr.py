"""The DDR model: what was measured on a board, the mechanisms one by one, and its inputs."""

from dataclasses import fields, replace

import numpy as np
import pytest

from terntable.sim import build as module
from terntable.sim.ddr import Stream, measure
from terntable.sim.ddr_parameters import DDR4_2133, DDR4_2400, DdrParameters
from terntable.sim.errors import SimulatorError
from tests.sim.measured import MEASUREMENTS, PLACEMENTS, placement

BASE = 0x4000_0000
ROW = 1 << DDR4_2133.row_bit          # bytes that have one row number, over all banks


def reads(ports: int, size: int, pitch: int = 1 << 26, **more) -> list[Stream]:
    """A stream of `size` bytes on each of the first `ports` ports."""
    return [Stream(port=n, base=BASE + n * pitch, bytes=size, **more) for n in range(ports)]


def striped(size: int) -> list[Stream]:
    """One linear region, 1 KiB of it to each port in turn: `size` bytes for each."""
    return [Stream(port=n, base=BASE + 1024 * n, bytes=size, stripe=1024, distance=4096) for n in range(4)]


@pytest.mark.parametrize("measured", MEASUREMENTS, ids=lambda m: m.name)
def test_measured(measured):
    """Fitted and predicted figures within 5 %: source and write traffic in tests/sim/measured.py."""
    assert measured.modelled() == pytest.approx(measured.bandwidth, rel=0.05)


def test_half_is_predicted():
    assert 2 * sum(m.fitted for m in MEASUREMENTS) <= len(MEASUREMENTS)


def test_congruent_bases():
    """All weights congruent modulo 64 KiB: 108.8 us, HP1 and HP2 3.0 GB/s each (fitted); sums leave at the end."""
    microseconds, rates = placement((0, 0, 0, 0))
    assert microseconds == pytest.approx(108.8, rel=0.05)
    assert rates == pytest.approx([3.83, 3.02, 3.01, 3.79], rel=0.05)


def test_staggered_bases():
    """At 0, 0, 48 and 24 KiB modulo 64 KiB: 87.3 us, 15.0 GB/s (predicted); sums leave at the end."""
    microseconds, rates = placement((0, 0, 48, 24))
    assert microseconds == pytest.approx(87.3, rel=0.05)
    assert rates == pytest.approx([3.95, 3.77, 3.76, 3.91], rel=0.05)


def test_long_sequential_reads():
    """15.93 to 16.01 GB/s (docs/measurements.md of bitnet-kv260, "the head stream"), predicted without writes.

    The reads of the four ports are kept within 4 KiB of each other. The same records have 13.4 GB/s for the head's runs
    where each engine was timed by itself (probe-2026-09-26.txt), which is a row of the measurements above.
    """
    assert measure(striped(1 << 21), window=4096).bandwidth == pytest.approx(15.97e9, rel=0.05)


@pytest.mark.parametrize("first", PLACEMENTS)
def test_placements(first):
    """64 places of the weights, HP1's at 8 KiB fitted and the others predicted: most within 5 %, in the right order."""
    measured = np.array(PLACEMENTS[first])[::2]
    modelled = np.array([[placement((0, first, 16 * row, 8 * column))[0] for column in range(8)] for row in range(4)])
    error = modelled / measured - 1
    assert np.abs(error).mean() < 0.04
    assert np.mean(np.abs(error) < 0.05) > 0.7
    assert np.corrcoef(measured.ravel(), modelled.ravel())[0, 1] > 0.6


def test_burst_length_does_not_matter():
    """Read bursts of 64 and 256 beats: 12.18 and 12.20 GB/s, 13.33 and 13.36 GB/s (kria-ddr-results.txt)."""
    short, long = (measure(reads(4, 1 << 20, pitch=1105920, burst_bytes=size)).bandwidth for size in (1024, 4096))
    assert long == pytest.approx(short, rel=0.01)


def test_two_ports_of_any_line():
    """Two engines reach 7.89 to 7.90 GB/s on every pair of ports (kria-ddr-results.txt), without writes."""
    for pair in ((0, 1), (0, 2), (0, 3), (1, 2), (2, 3)):
        streams = [Stream(port=n, base=BASE + n * 1105920, bytes=1 << 20) for n in pair]
        assert measure(streams).bandwidth == pytest.approx(7.895e9, rel=0.02)


def test_latency():
    one = measure([Stream(port=0, base=BASE, bytes=16)]).streams[0].first
    p = DDR4_2133
    clocks = (p.request_latency + p.activate_to_column + p.read_latency + p.line_clocks + p.response_latency)
    assert clocks * p.clock_khz / p.controller_khz <= one <= (clocks + 6) * p.clock_khz / p.controller_khz + 1
    # Behind a transfer in the same bank but another row, one also waits for that row's life and the precharge.
    pair = [Stream(port=0, base=BASE, bytes=16), Stream(port=3, base=BASE + ROW, bytes=16)]
    late = measure(pair).streams[1].first - one
    cycle = p.activate_to_activate * p.clock_khz / p.controller_khz
    assert cycle - 2 <= late <= cycle + 2


def test_rows():
    """Two ports in the same bank lose time where their rows differ and none where they are the same."""
    calm = replace(DDR4_2133, refresh_interval=2**30)
    same, different = ([Stream(port=0, base=BASE, bytes=8192), Stream(port=3, base=BASE + apart, bytes=8192)]
                       for apart in (8192, ROW))
    assert measure(same, calm).cycles < 512 + 60
    assert measure(different, replace(calm, port_pieces=2)).cycles > measure(same, replace(calm, port_pieces=2)).cycles + 50


def test_refresh():
    """Without refresh a port runs at a beat a cycle; each refresh costs the share that its buffers do not cover."""
    size = 1 << 18
    assert measure(reads(1, size), replace(DDR4_2133, refresh_interval=2**30)).cycles < size // 16 + 50
    long = replace(DDR4_2133, refresh_time=1000)
    lost = measure(reads(1, size), long).cycles - size // 16
    refreshes = (size / 16) * DDR4_2133.controller_khz / DDR4_2133.clock_khz / DDR4_2133.refresh_interval
    assert 300 * refreshes < lost < 480 * (refreshes + 2)


def test_turns():
    """Writes cost reads the more, the shorter their bursts are."""
    def read_cycles(burst_bytes: int) -> int:
        streams = [*reads(4, 1 << 19, pitch=(1 << 26) + (1 << 14)), Stream(port=0, base=BASE + (1 << 30), bytes=1 << 15, write=True,
                   follows=0, ratio=16, burst_bytes=burst_bytes, outstanding=2)]
        return max(t.last for t in measure(streams).streams[:4])
    short, medium, long = (read_cycles(size) for size in (64, 256, 4096))
    assert short > 1.01 * medium and medium > long


def test_writes():
    """A port writes a beat a cycle, four of them what the DRAM takes; a write is acknowledged only when it is accepted."""
    def rate(ports: int) -> float:
        return measure([Stream(port=n, base=BASE + n * (ROW << 4), bytes=1 << 18, write=True, burst_bytes=4096)
                        for n in range(ports)]).bandwidth
    assert rate(1) == pytest.approx(4e9, rel=0.01)
    assert 10e9 < rate(4) < DDR4_2133.peak
    one = measure([Stream(port=0, base=BASE, bytes=16, write=True, burst_bytes=16)]).streams[0]
    way = (DDR4_2133.request_latency + DDR4_2133.response_latency) * DDR4_2133.clock_khz / DDR4_2133.controller_khz
    assert way <= one.last - one.first <= way + 4


def test_lines():
    """Ports of one line share its data wires and its order; of two lines they do not."""
    slow = replace(DDR4_2133, line_clocks=8)
    apart, together = ([Stream(port=n, base=BASE + n * (1 << 26) + (n << 14), bytes=1 << 18) for n in pair]
                       for pair in ((0, 3), (1, 2)))
    assert measure(apart, slow).bandwidth > 1.7 * measure(together, slow).bandwidth


def test_window():
    """No stream gets further ahead than the window allows."""
    streams = [Stream(port=0, base=BASE, bytes=1 << 16), Stream(port=1, base=BASE + (1 << 26), bytes=1 << 16, start=5000)]
    free, bound = (measure(streams, window=window).streams[0].last for window in (0, 1024))
    assert free < 5000 < bound


def test_faster_chips():
    """2400 MT/s gains little while the ports are the limit, and times in nanoseconds stay the same."""
    assert DDR4_2400.peak == pytest.approx(19.2e9, rel=1e-4)
    assert DDR4_2400.activate_to_column == 9 and DDR4_2400.columns == 2
    slow, fast = (measure(striped(1 << 20), p, window=4096).bandwidth for p in (DDR4_2133, DDR4_2400))
    assert slow < fast < min(16e9, 1.03 * slow)
    assert DDR4_2133.at_rate(2133).read_latency == DDR4_2133.read_latency


MIXED = [*reads(4, 1 << 15, pitch=ROW + (5 << 12)), *(Stream(port=n, base=BASE + (n << 27) + 64 * n, bytes=1 << 13, write=True,
         follows=n, ratio=4, burst_bytes=burst) for n, burst in enumerate((64, 256, 1024, 4096)))]
WRITES = [Stream(port=n, base=BASE + n * (ROW << 4), bytes=1 << 14, write=True, burst_bytes=4096) for n in range(4)]
LATE = [Stream(port=0, base=BASE, bytes=64), Stream(port=1, base=BASE + 64, bytes=64, write=True, follows=0, burst_bytes=64),
        Stream(port=2, base=BASE + 128, bytes=64, start=150), Stream(port=3, base=BASE + ROW, bytes=64, start=160)]
OTHERS = {"group_bit": 8, "bank_bit": 13, "row_bit": 18, "groups": 1, "banks": 2, "line_of_port": (0, 1, 2, 3), "columns": 5,
          "write_entries": 2, "piece_beats": 4, "port_pieces": 3, "write_transfers": 2, "line_transfers": 5, "read_entries": 4,
          "hit_limit": 1, "write_run": 1, "refresh_interval": 1000, "idle_gap": 60}


@pytest.mark.parametrize("name", [field.name for field in fields(DdrParameters)])
def test_every_number_counts(name):
    """Another value of a parameter (at first sight a worse one) changes the time of a pattern."""
    value = OTHERS.get(name) or 2 * getattr(DDR4_2133, name)
    patterns = (MIXED, WRITES, LATE)
    assert [measure(p, replace(DDR4_2133, **{name: value})) for p in patterns] != [measure(p) for p in patterns]


@pytest.mark.parametrize(("wrong", "message"), [
    (dict(banks=3), "banks must be a power of two, not 3"),
    (dict(banks=16), "groups x banks must be at most 16, not 32"),
    (dict(read_entries=65), "read_entries must be at most 64, not 65"),
    (dict(port_pieces=0), "port_pieces must be a positive integer, not 0"),
    (dict(columns=2.5), "columns must be a positive integer, not 2.5"),
    (dict(line_of_port=(0, 1, 2, 4)), r"line_of_port must be four numbers below 4, not \(0, 1, 2, 4\)"),
])
def test_parameters_checked(wrong, message):
    with pytest.raises(ValueError, match=message):
        DdrParameters(**wrong)


@pytest.mark.parametrize(("wrong", "message"), [
    (dict(port=4), "port must be 0 to 3, not 4"),
    (dict(beat_bytes=32), "beat_bytes must be 4, 8 or 16 .* not 32"),
    (dict(bytes=100), "divide base, bytes"),
    (dict(burst_bytes=8192), "A burst has 1 to 4096 bytes"),
    (dict(stripe=1000, distance=4096), "stripe must be a multiple of burst_bytes"),
    (dict(follows=0), "follows must be the index of a stream of reads"),
])
def test_streams_checked(wrong, message):
    with pytest.raises(ValueError, match=message):
        measure([Stream(**{"base": 0, "bytes": 1024, **wrong})])


def test_port_has_one_stream_of_a_kind():
    with pytest.raises(ValueError, match="at most one stream of reads and one of writes"):
        measure(2 * reads(1, 1024))


def test_limit():
    with pytest.raises(SimulatorError, match="not done within 100 cycles"):
        measure(reads(1, 1 << 20), limit=100)


def test_needs_a_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("TERNTABLE_BUILD", str(tmp_path))
    monkeypatch.setattr(module.shutil, "which", lambda tool: None)
    with pytest.raises(SimulatorError, match=r"needs g\+\+, which is not installed: apt install g\+\+"):
        measure(reads(1, 1024))
