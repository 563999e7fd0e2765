"""Measures traffic patterns on the DDR model, without an accelerator.

>>> streams = [Stream(port=n, base=n << 24, bytes=1 << 20) for n in range(4)]     # doctest: +SKIP
>>> measure(streams).bandwidth                                                    # doctest: +SKIP
"""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple

from terntable.sim.build import build_traffic
from terntable.sim.ddr_parameters import DDR4_2133, DdrParameters
from terntable.sim.errors import SimulatorError

__all__ = ["Measured", "Stream", "Timed", "measure"]


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A run of reads or writes at rising addresses on one port.

    Attributes
    ----------
    port : 0 to 3.
    base : address of the first byte, a multiple of `beat_bytes`.
    bytes : how many, a multiple of `beat_bytes`.
    write : write instead of read; a port has at most one stream of each kind.
    start : cycle of the first request.
    burst_bytes : of a burst, except perhaps the last.
    beat_bytes : of a beat; a narrower one than the port's 16 is what a narrow master behind a width converter gives.
    outstanding : bursts on the way.
    stripe, distance : after each `stripe` bytes the address goes on `distance` bytes behind their first; 0: no stripes.
    follows, ratio : writes only: a burst begins when `ratio` times its end has been read by the stream of that index.

    """

    base: int
    bytes: int
    start: int = 0
    stripe: int = 0
    distance: int = 0
    follows: int = -1
    ratio: int = 1
    port: int = 0
    write: bool = False
    burst_bytes: int = 1024
    beat_bytes: int = 16
    outstanding: int = 8


class Timed(NamedTuple):
    """When the first and last beat of a stream passed, in cycles; a stream of writes ends with its last response."""

    first: int
    last: int


class Measured(NamedTuple):
    """Times of the streams, cycles until all were done, and bytes per second of all together until then."""

    streams: list[Timed]
    cycles: int
    bandwidth: float


class _Stream(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_uint64) for name in ("base", "bytes", "start", "stripe", "distance")), ("follows", ctypes.c_int64),
        ("ratio", ctypes.c_uint64), *((name, ctypes.c_uint32) for name in ("port", "write", "burst_bytes", "beat_bytes",
                                                                            "outstanding")),
    ]


class _Times(ctypes.Structure):
    _fields_ = [("first", ctypes.c_uint64), ("last", ctypes.c_uint64)]


def measure(streams: Sequence[Stream], parameters: DdrParameters = DDR4_2133, *, window: int = 0,
            limit: int = 100_000_000) -> Measured:
    """Run `streams` together until all are done.

    Parameters
    ----------
    window : bytes that a stream of reads may be ahead of the slowest one, as behind a buffer that all share; 0: no bound.
    limit : cycles within which they must be done; SimulatorError otherwise.

    """
    _check(streams)
    library = ctypes.CDLL(str(build_traffic()))
    library.ddr_run.restype = ctypes.c_uint64
    words = parameters.words()
    inputs = (_Stream * len(streams))(*(_Stream(**{f.name: getattr(s, f.name) for f in fields(s)}) for s in streams))
    times = (_Times * len(streams))()
    cycles = library.ddr_run((ctypes.c_uint32 * len(words))(*words), inputs, times, len(streams), ctypes.c_uint64(window),
                             ctypes.c_uint64(limit))
    if cycles >= limit:
        raise SimulatorError(f"The streams were not done within {limit} cycles")
    return Measured([Timed(t.first, t.last) for t in times], cycles,
                    sum(s.bytes for s in streams) * 1000 * parameters.clock_khz / cycles)


def _check(streams: Sequence[Stream]) -> None:
    if len({(s.port, s.write) for s in streams}) != len(streams):
        raise ValueError("A port has at most one stream of reads and one of writes")
    for s in streams:
        if not 0 <= s.port < 4:
            raise ValueError(f"port must be 0 to 3, not {s.port}")
        if s.beat_bytes not in (4, 8, 16) or s.base % s.beat_bytes or s.bytes % s.beat_bytes or s.burst_bytes % s.beat_bytes:
            raise ValueError(f"beat_bytes must be 4, 8 or 16 and divide base, bytes and burst_bytes, not {s.beat_bytes}")
        if not 0 < s.burst_bytes <= 4096 or not 1 <= s.outstanding <= 64 or s.bytes < 1 or s.start < 0 or s.ratio < 1:
            raise ValueError("A burst has 1 to 4096 bytes, 1 to 64 of them are on the way, and a stream is not empty")
        if not s.stripe % s.burst_bytes == 0 <= s.stripe <= s.distance:
            raise ValueError(f"stripe must be a multiple of burst_bytes and at most distance, not {s.stripe}")
        if not -1 <= s.follows < len(streams) or (s.follows >= 0 and (not s.write or streams[s.follows].write)):
            raise ValueError("follows must be the index of a stream of reads, for a stream of writes")
