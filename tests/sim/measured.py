"""What others measured on a Kria KV260, and the traffic that their designs made, for the DDR model.

All of it is from the records of github.com/MerlijnW70/bitnet-kv260 (2026): four engines read ternary weights, one on each
of HP0 to HP3 (128 bits, 250 MHz), and write 32-bit sums back on the same port. The board ran the stock firmware, so
DDR4-2133. An engine's DMA asks for bursts of 64 beats. The processor starts the engines one after the other, 0.4 us apart
(probe-2026-09-26.txt, batch 4: compute-bound runs end as far apart as they began), and sees the end of the last one about
1 us late. Weights of the engines follow each other in memory unless offsets are given; memory begins on a row.
"""

from collections.abc import Iterator
from typing import NamedTuple

from terntable.sim.ddr import Stream, measure
from terntable.sim.ddr_parameters import DDR4_2133, DdrParameters

__all__ = ["MEASUREMENTS", "PLACEMENTS", "Measurement", "placement"]

CLOCK = 250e6
#: Cycles between the starts of two engines, and seconds until the end of the last one is seen.
ARM, SEEN = 100, 1e-6

WEIGHTS, SUMS = 0x3830_0000, 0x58B0_0000


class Writes(NamedTuple):
    """How the sums go back: bytes of a burst and of a beat on the DMA's memory port."""

    burst_bytes: int
    beat_bytes: int


SHORT, NARROW, WIDE = Writes(64, 4), Writes(1024, 4), Writes(4096, 16)


class Measurement(NamedTuple):
    """One row of the records: `engines` read `bytes` each, a sum for each `per_sum` bytes, in `microseconds`.

    `pitch` is from the start of one engine's weights to the next. `fitted` says that the model's parameters were chosen
    with it; the others are predictions.
    """

    name: str
    source: str
    engines: int
    bytes: int
    per_sum: int
    writes: Writes
    microseconds: float
    fitted: bool = False
    pitch: int | None = None

    @property
    def bandwidth(self) -> float:
        """Weights, in GB/s, as the records count."""
        return self.engines * self.bytes / self.microseconds / 1e3

    def streams(self) -> list[Stream]:
        """The traffic."""
        pitch = self.bytes if self.pitch is None else self.pitch
        return list(_streams([WEIGHTS + n * pitch for n in range(self.engines)], self.bytes, self.per_sum, self.writes))

    def modelled(self, parameters: DdrParameters = DDR4_2133) -> float:
        """The model's GB/s."""
        return self.engines * self.bytes / _seconds(self.streams(), parameters) / 1e9


def _streams(bases: list[int], size: int, per_sum: int, writes: Writes) -> Iterator[Stream]:
    sums = size // per_sum * 4
    for port, base in enumerate(bases):
        yield Stream(port=port, base=base, bytes=size, start=ARM * port)
    for port in range(len(bases)):
        yield Stream(port=port, base=SUMS + port * sums, bytes=sums, write=True, follows=port, ratio=per_sum // 4,
                     start=ARM * port, burst_bytes=writes.burst_bytes, beat_bytes=writes.beat_bytes, outstanding=4)


def _seconds(streams: list[Stream], parameters: DdrParameters) -> float:
    """Until the last beat is read, as the engines' counters of finished sums tell."""
    return max(t.last for t, s in zip(measure(streams, parameters).streams, streams, strict=True) if not s.write) / CLOCK + SEEN


def _matvec(engines: int, writes: Writes, microseconds: float, **more) -> Measurement:
    """The driver's benchmark: 6912 sums of 2560 weights of 2 bits (kria-ddr-results.txt)."""
    return Measurement(f"{engines} ports, writes of {writes.burst_bytes} bytes", "kria-ddr-results.txt", engines,
                       4423680 // engines, 640, writes, microseconds, **more)


#: Of whole matrices: the benchmark, and the base-3 engines' phases of a token (probe-2026-09-26.txt, batch 1). Left out are
#: the records of ternary_ffn.c, which do not say where its weights were.
MEASUREMENTS = [
    _matvec(1, SHORT, 1117, fitted=True),
    _matvec(2, SHORT, 560),
    _matvec(3, SHORT, 381),
    _matvec(4, SHORT, 363, fitted=True),
    _matvec(4, NARROW, 338),
    _matvec(4, WIDE, 332),
    Measurement("query, key and value", "probe-2026-09-26.txt", 4, 491520, 512, WIDE, 136.4),
    Measurement("attention output", "probe-2026-09-26.txt", 4, 327680, 512, WIDE, 111.5),
    Measurement("gate and up", "probe-2026-09-26.txt", 4, 884736, 512, WIDE, 301.8, pitch=1769472),
    Measurement("down", "probe-2026-09-26.txt", 4, 890880, 1392, WIDE, 249.1),
    Measurement("head", "probe-2026-09-26.txt", 4, 2052096, 512, WIDE, 610.7, pitch=16416768),
]

#: Microseconds until four engines had 640 rows of 512 bytes each, by where their weights begin modulo 64 KiB: HP0's at 0,
#: HP1's at the key's KiB, HP2's at 8 KiB times the row, HP3's at 8 KiB times the column (sweep-2026-09-26.txt).
PLACEMENTS = {
    0: ((108.8, 111.6, 101.7, 91.4, 98.3, 101.5, 96.0, 95.2), (104.8, 110.2, 95.0, 90.8, 94.0, 97.5, 96.0, 94.8),
        (96.6, 103.1, 92.4, 90.4, 90.9, 95.8, 95.4, 94.4), (97.8, 104.7, 93.7, 91.3, 90.5, 90.6, 92.5, 95.4),
        (102.3, 106.7, 95.9, 91.9, 89.1, 87.9, 91.0, 96.2), (99.6, 105.0, 98.8, 91.4, 89.9, 89.7, 90.8, 91.3),
        (92.3, 101.2, 88.2, 87.3, 90.4, 92.2, 91.4, 90.5), (96.8, 105.7, 90.4, 88.2, 91.1, 94.6, 93.1, 92.0)),
    8: ((98.8, 108.2, 92.9, 90.1, 91.5, 96.4, 95.0, 94.0), (110.1, 113.6, 103.0, 93.2, 99.6, 102.1, 97.2, 97.4),
        (104.7, 111.5, 95.6, 92.5, 95.0, 98.4, 97.2, 96.9), (98.3, 104.0, 94.3, 92.2, 92.5, 95.8, 96.4, 96.1),
        (99.1, 105.8, 95.5, 92.8, 91.1, 92.9, 92.4, 96.9), (102.9, 107.8, 97.3, 92.2, 90.3, 89.3, 90.1, 96.9),
        (100.5, 106.6, 92.5, 90.5, 90.9, 90.4, 91.6, 92.7), (94.1, 101.9, 90.2, 88.7, 90.3, 92.6, 92.9, 92.3)),
    40: ((94.7, 103.9, 89.1, 88.9, 90.4, 90.5, 90.7, 90.3), (103.2, 106.7, 96.6, 91.6, 90.3, 89.3, 90.5, 94.4),
         (101.2, 106.9, 97.7, 92.7, 91.0, 90.4, 90.5, 95.7), (99.6, 101.2, 97.4, 94.4, 92.9, 91.4, 87.5, 86.7),
         (101.2, 103.9, 98.2, 96.9, 97.2, 95.6, 87.7, 88.1), (105.6, 108.5, 101.7, 99.0, 100.5, 101.8, 95.0, 94.9),
         (103.1, 109.0, 99.4, 96.3, 98.8, 97.9, 90.3, 89.7), (92.7, 101.6, 87.7, 86.3, 93.5, 93.6, 89.9, 88.5)),
}


def placement(offsets: tuple[int, int, int, int], parameters: DdrParameters = DDR4_2133) -> tuple[float, list[float]]:
    """The model's microseconds, and each engine's GB/s until its end, with weights at `offsets` KiB modulo 64 KiB.

    Each engine has 2 MiB of its own; its sums leave in one burst at the end.
    """
    size = 640 * 512
    bases = [0x3B90_0000 + (n << 21) + (offset << 10) for n, offset in enumerate(offsets)]
    streams = list(_streams(bases, size, 512, WIDE))
    times = measure(streams, parameters).streams[:4]
    return (max(t.last for t in times) / CLOCK + SEEN) * 1e6, [size / (t.last / CLOCK) / 1e9 for t in times]
